// What Sigstore's own verifier for Node says of a bundle that was signed with a key: BUNDLE PUBLIC_KEY.
import { createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";
import bundles from "@sigstore/bundle";
import verify from "@sigstore/verify";

const [bundle, key] = process.argv.slice(2).map((path) => readFileSync(path, "utf8"));
const nobody = { tlogs: [], ctlogs: [], certificateAuthorities: [], timestampAuthorities: [] };
const trust = verify.toTrustMaterial(nobody, () => ({ publicKey: createPublicKey(key), validFor: () => true }));
// a key instead of a certificate, and no public log
const verifier = new verify.Verifier(trust, { tlogThreshold: 0, ctlogThreshold: 0, timestampThreshold: 0 });
try {
  verifier.verify(verify.toSignedEntity(bundles.bundleFromJSON(JSON.parse(bundle))));
  console.log("accepted");
} catch (error) {
  console.log(`refused: ${error.code ?? error}`);
  process.exit(1);
}
