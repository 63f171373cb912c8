// What @sigstore/verify says of each of our cases: a JSON list, `accepted` or its error.
import { readFileSync } from 'node:fs';
import { createHash, createPublicKey } from 'node:crypto';
import { createRequire } from 'node:module';
const require = createRequire(process.cwd() + '/');
const { bundleFromJSON } = require('@sigstore/bundle');
const { TrustedRoot } = require('@sigstore/protobuf-specs');
const { Verifier, toSignedEntity, toTrustMaterial } = require('@sigstore/verify');

const [data, fallback] = process.argv.slice(2);
const file = (name) => readFileSync(`${data}/${name}`);

function judge(one) {
  const root = TrustedRoot.fromJSON(JSON.parse(one.root ? file(one.root) : readFileSync(fallback)));
  const pem = one.key && createPublicKey(file(one.key));
  const keys = pem && (() => ({ publicKey: pem, validFor: () => true }));
  const trust = keys ? toTrustMaterial(root, keys) : toTrustMaterial(root);
  const raw = JSON.parse(file(one.bundle));
  const bundle = bundleFromJSON(raw);
  const logged = !keys || (raw.verificationMaterial.tlogEntries ?? []).length > 0;
  const options = keys ? { tlogThreshold: logged ? 1 : 0, ctlogThreshold: 0, timestampThreshold: 1 } : {};
  const artifact = one.artifact && file(one.artifact);
  const message = bundle.content.$case === 'messageSignature';
  if (message && !artifact) return 'not judged: it needs the artefact';
  const policy = keys ? undefined : { subjectAlternativeName: one.identity, extensions: { issuer: one.issuer } };
  new Verifier(trust, options).verify(toSignedEntity(bundle, message ? artifact : undefined), policy);
  if (!message && artifact) {
    const { subject } = JSON.parse(Buffer.from(raw.dsseEnvelope.payload, 'base64'));
    const is = ([name, hex]) => createHash(name).update(artifact).digest('hex') === hex;
    if (!subject.some(({ digest }) => Object.entries(digest).some(is))) throw new Error('no subject is the artefact');
  }
  return 'accepted';
}

const answers = JSON.parse(file('cases.json')).map((one) => {
  try {
    return judge(one);
  } catch (error) {
    return `refused: ${error.code ?? error.name}: ${error.message}`.slice(0, 200);
  }
});
console.log(JSON.stringify(answers));
