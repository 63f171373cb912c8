"""Makes OCI image layouts, sound ones and others, from what is given as JSON on standard input."""
import gzip, hashlib, io, json, os, sys, tarfile

KINDS = {"file": tarfile.REGTYPE, "directory": tarfile.DIRTYPE, "link": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE,
         "character": tarfile.CHRTYPE, "block": tarfile.BLKTYPE, "pipe": tarfile.FIFOTYPE, "odd": b"Q"}

def layer(entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for entry in entries:
            info = tarfile.TarInfo(entry["path"])
            info.type = KINDS[entry.get("kind", "file")]
            info.mode = entry.get("mode", 0o755)
            info.linkname = entry.get("to", "")
            content = open(entry["from"], "rb").read() if "from" in entry else entry.get("text", "").encode()
            if entry.get("zeros"):
                content = bytes(entry["zeros"])
            info.size = len(content) if info.type == tarfile.REGTYPE else 0
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()

def header(name, kind, size):
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)

def hidden(length):
    """A long name of so many bytes for who honours the size in an extended header, and one large file for who does not."""
    size = b"12 size=512\n"
    behind = header("././@LongLink", tarfile.GNUTYPE_LONGNAME, length) + b"n" * length + header("c", tarfile.REGTYPE, 0)
    return (header("x", tarfile.XHDTYPE, len(size)) + size.ljust(512, b"\0") + header("a", tarfile.REGTYPE, 0)
            + header("b", tarfile.REGTYPE, len(behind)) + behind + bytes(1024))

def sparse(length):
    """A file whose list of parts is so long."""
    part = b"00000000001\0" + b"00000000000\0"
    first = bytearray(header("s", tarfile.GNUTYPE_SPARSE, length))
    first[386:482], first[482] = part * 4, 1
    first[148:156] = b" " * 8
    first[148:156] = b"%06o\0 " % sum(first)
    return bytes(first) + ((part * 21) + b"\1" + bytes(7)) * (length // 512) + bytes(1024)

def removed(count):
    """So many deletions with the longest names there are."""
    return layer([{"path": ("d" * 250 + "/") * 15 + f".wh.{number}", "mode": 0o644} for number in range(count)])

def put(root, content):
    digest = hashlib.sha256(content).hexdigest()
    os.makedirs(f"{root}/blobs/sha256", exist_ok=True)
    open(f"{root}/blobs/sha256/{digest}", "wb").write(content)
    return {"digest": f"sha256:{digest}", "size": len(content)}

def make(root, wish):
    os.makedirs(root)
    layers, diffs = [], []
    for entries in wish["layers"]:
        content = globals()[wish["long"]](wish["much"]) if "long" in wish else layer(entries)
        content += wish.get("behind", "").encode()
        diffs.append("sha256:" + hashlib.sha256(content).hexdigest())
        packed = wish.get("gzip", True)
        blob = put(root, gzip.compress(content) if packed else content)
        media = "application/vnd.oci.image.layer.v1.tar" + ("+gzip" if packed else "")
        layers.append({"mediaType": wish.get("media", media), **blob})
    if "diff" in wish:
        diffs[-1] = wish["diff"]
    config = {"architecture": wish.get("architecture", "amd64" if os.uname().machine == "x86_64" else "arm64"), "os": "linux",
              "config": {"Env": ["PATH=/programs:/bin"]}, "rootfs": {"type": "layers", "diff_ids": diffs}}
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", **put(root, json.dumps(config).encode())}
    manifest = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                           "config": config, "layers": layers})
    for old, new in wish.get("replace", []):
        manifest = manifest.replace(old, new)
    manifest = {"mediaType": "application/vnd.oci.image.manifest.v1+json", **put(root, manifest.encode())}
    open(f"{root}/index.json", "w").write(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))
    open(f"{root}/oci-layout", "w").write('{"imageLayoutVersion": "1.0.0"}')
    last = f"{root}/blobs/sha256/" + layers[-1]["digest"].split(":")[1] if layers else ""
    if wish.get("spoil") == "content":
        data = bytearray(open(last, "rb").read()); data[len(data) // 2] ^= 1; open(last, "wb").write(data)
    if wish.get("spoil") == "size":
        open(last, "ab").write(b"x")
    if wish.get("spoil") == "gone":
        os.unlink(last)
    if wish.get("spoil") == "link":
        os.rename(last, f"{root}/elsewhere"); os.symlink(f"{root}/elsewhere", last)
    print(manifest["digest"])

make(sys.argv[1], json.load(sys.stdin))
