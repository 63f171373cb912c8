"""What sigstore-python says of each of our cases: a JSON object, bundle and place to `accepted` or its error."""

import hashlib
import json
import sys
from base64 import b64decode
from pathlib import Path

from sigstore.hashes import Hashed
from sigstore.models import Bundle, TrustedRoot
from sigstore.verify import Verifier
from sigstore.verify.policy import Identity
from sigstore_models.common.v1 import HashAlgorithm


def judge(data, case, default):
    if "key" in case:
        return "not judged: it has no keys"
    root = data / case["root"] if "root" in case else default
    verifier = Verifier(trusted_root=TrustedRoot.from_file(str(root)))
    raw = (data / case["bundle"]).read_bytes()
    bundle = Bundle.from_json(raw)
    policy = Identity(identity=case["identity"], issuer=case["issuer"])
    parsed = json.loads(raw)
    if "dsseEnvelope" in parsed:
        _, payload = verifier.verify_dsse(bundle, policy)
        if "artifact" in case:
            content = (data / case["artifact"]).read_bytes()
            digests = [subject["digest"] for subject in json.loads(payload)["subject"]]
            if not any(hashlib.new(name, content).hexdigest() == value for one in digests for name, value in one.items()):
                raise ValueError("no subject is the artefact")
        return "accepted"
    if "artifact" in case:
        verifier.verify_artifact((data / case["artifact"]).read_bytes(), bundle, policy)
    else:
        digest = b64decode(parsed["messageSignature"]["messageDigest"]["digest"])
        verifier.verify_artifact(Hashed(algorithm=HashAlgorithm.SHA2_256, digest=digest), bundle, policy)
    return "accepted"


def main():
    data, default = Path(sys.argv[1]), Path(sys.argv[2])
    answers = []
    for case in json.loads((data / "cases.json").read_text()):
        try:
            answers.append(judge(data, case, default))
        except Exception as error:  # whatever it raises is its refusal
            answers.append(f"refused: {type(error).__name__}: {error}"[:200])
    print(json.dumps(answers))


main()
