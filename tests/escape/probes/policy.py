"""The policy: changed, replaced, moved away or outlived, while it decides. The suite guards the file outside."""

import ctypes
import fcntl
import mmap
import os
import shutil
import signal
import struct
import threading
import time

from probe import Held, libc, probe, ready, syscall, talk

RULE = b"# evil\n"


def looked(what):
    raise Held(f"{what}, and the suite looks whether outside")


def mine(lab, name="mine.yaml"):
    """A policy of the agent's own: the attacker is permitted."""
    with open(lab.policy) as file:
        text = file.read()
    rule = f'    - {{destination: "{lab.evil}:80", plane: tool, purpose: The attacker, protocol: TCP}}\n'
    with open(name, "w") as file:
        file.write(text.replace("  workload:\n", "  workload:\n" + rule))
    return name


def rename(old, new, flags):
    """renameat2(2)"""
    syscall(316, -100, ctypes.c_char_p(old.encode()), -100, ctypes.c_char_p(new.encode()), flags)


@probe("the policy changes")
def rule_appended(lab):
    """A rule is appended to the policy, which is read again while the agent runs."""
    with open(lab.policy, "ab") as file:
        file.write(RULE)


@probe("the policy changes")
def policy_made_empty(lab):
    """truncate(2): an empty policy in place of the one that is there."""
    os.truncate(lab.policy, 0)


@probe("the policy changes")
def policy_replaced(lab):
    """Another file is renamed over the policy."""
    os.rename(mine(lab), lab.policy)


@probe("the policy changes")
def policy_replaced_by_a_link(lab):
    """A symbolic link to the agent's own policy is renamed over the policy."""
    os.symlink(mine(lab), "link")
    os.rename("link", lab.policy)


@probe("the policy is gone")
def policy_removed(lab):
    """The policy is removed, and another one is made under its name."""
    os.unlink(lab.policy)
    mine(lab, lab.policy)


@probe("the policy is gone")
def policy_moved_away(lab):
    """The policy is renamed to another name in its own directory."""
    os.rename(lab.policy, "old.yaml")


@probe("the two change places")
def policy_exchanged(lab):
    """renameat2(2) with RENAME_EXCHANGE: the policy and the agent's own change places at once."""
    rename(mine(lab), lab.policy, 2)


@probe("the policy is gone")
def policy_whited_out(lab):
    """renameat2(2) with RENAME_WHITEOUT: a mark that hides the file below takes its place."""
    rename(lab.policy, "old.yaml", 4)


@probe("the policy changes")
def policy_by_another_name(lab):
    """A hard link to the policy, written by its second name."""
    os.link(lab.policy, "alias.yaml")
    with open("alias.yaml", "ab") as file:
        file.write(RULE)


@probe("the policy changes")
def policy_by_a_link_of_its_descriptor(lab):
    """A hard link to a descriptor of the policy (linkat with AT_SYMLINK_FOLLOW), written by its second name."""
    file = os.open(lab.policy, os.O_RDONLY)
    os.link(f"/proc/self/fd/{file}", "alias.yaml", src_dir_fd=os.open("/", os.O_RDONLY))
    with open("alias.yaml", "ab") as file:
        file.write(RULE)


@probe("the policy changes")
def policy_by_its_descriptor(lab):
    """A descriptor of the policy that was opened for reading, opened again for writing by /proc/self/fd."""
    file = os.open(lab.policy, os.O_RDONLY)
    os.write(os.open(f"/proc/self/fd/{file}", os.O_WRONLY | os.O_APPEND), RULE)


@probe("the policy changes")
def policy_by_its_directory(lab):
    """A descriptor of the directory, opened through /proc/self/cwd, and the policy opened below it."""
    directory = os.open("/proc/self/cwd/.", os.O_PATH | os.O_DIRECTORY)
    os.write(os.open("policy.yaml", os.O_WRONLY | os.O_APPEND, dir_fd=directory), RULE)


@probe("the policy changes")
def policy_by_a_mapping(lab):
    """A shared mapping of the policy, written by stores."""
    file = os.open(lab.policy, os.O_RDWR)
    with mmap.mmap(file, 0, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE) as memory:
        memory[:1] = b"#"


@probe("the policy changes")
def policy_by_a_copied_range(lab):
    """copy_file_range(2) from the agent's own policy."""
    os.copy_file_range(os.open(mine(lab), os.O_RDONLY), os.open(lab.policy, os.O_WRONLY), 100)


@probe("the policy's mode changes")
def policy_for_everyone(lab):
    """The policy is made writable for everyone, and an agent of another user writes it later."""
    os.chmod(lab.policy, 0o666)


@probe("the policy's time changes")
def policy_that_looks_new(lab):
    """A new time on the policy, so that it is read again at the agent's moment."""
    os.utime(lab.policy, (1, 1))
    looked("its time was set")


@probe("the policy has an attribute")
def attribute_of_the_policy(lab):
    """An attribute on the policy."""
    os.setxattr(lab.policy, "user.escape", b"1")


@probe("another file stands in the policy's place")
def mount_over_the_policy(lab):
    """mount(2) of the agent's own policy over the one that is there; taken off again."""
    if libc.mount(mine(lab).encode(), lab.policy.encode(), None, 4096, None) < 0:
        raise OSError(ctypes.get_errno(), "mount")
    libc.umount2(lab.policy.encode(), 2)


@probe("the directory is elsewhere")
def directory_of_the_policy_moved(lab):
    """The directory that holds the policy is renamed, and another one takes its place; taken back."""
    aside = os.path.join(lab.root, "aside")
    os.rename(lab.work, aside)
    os.rename(aside, lab.work)


@probe("the two change places")
def directory_of_the_policy_exchanged(lab):
    """renameat2(2) with RENAME_EXCHANGE of the directory above the working directory's; taken back."""
    os.mkdir("fake")
    inside = os.path.join(lab.work, "fake")
    aside = os.path.join(lab.root, lab.marker)
    os.rename(inside, aside)
    try:
        rename(aside, lab.work, 2)
        rename(aside, lab.work, 2)
    finally:
        os.rmdir(aside)


@probe("the certificates change")
def certificates_of_the_policy_written(lab):
    """The file of certificates that a rule trusts (upstream_ca), so that the attacker's server is believed."""
    with open(os.path.join(lab.root, "ca.pem"), "r+b") as file:
        file.write(b"-----BEGIN CERTIFICATE-----\n")


@probe("the certificates change")
def certificates_of_the_policy_replaced(lab):
    """Another file is renamed over the certificates that a rule trusts."""
    with open("mine.pem", "wb") as file:
        file.write(b"-----BEGIN CERTIFICATE-----\n")
    os.rename("mine.pem", os.path.join(lab.root, "ca.pem"))


@probe("the kernel grants the lease")
def lease_on_the_policy(lab):
    """A lease (fcntl(2)) on the policy: whoever reads it again waits, up to 45 seconds, and decides by the old one."""
    fcntl.fcntl(os.open(lab.policy, os.O_RDONLY), 1024, fcntl.F_WRLCK)


@probe("bytes come back from a host that no rule names")
def policy_of_the_agent(lab):
    """The agent's own policy under the name that is read by default, and a signal to read it again."""
    mine(lab, "agent_runtime.yaml")
    if os.readlink("/proc/self/ns/pid") != lab.pid_namespace:
        for number in (signal.SIGHUP, signal.SIGUSR1):
            try:
                os.kill(1, number)
            except OSError:
                pass
        time.sleep(0.3)
    talk(lab.evil, 80)


@probe("bytes come back from a host that no rule names")
def events_around_the_policy(lab):
    """Hundreds of files made, renamed and removed beside the policy, so that whoever watches it reads a wrong one,
    while the attacker is called over and over."""
    until = time.monotonic() + 0.7

    def storm():
        while time.monotonic() < until:
            for name in (".policy.yaml.swp", "policy.yaml~", "policy.yml", "POLICY.YAML", "policy.yaml.new"):
                mine(lab, name)
                os.rename(name, name + ".2")
                os.unlink(name + ".2")

    threading.Thread(target=storm, daemon=True).start()
    while time.monotonic() < until:
        try:
            return talk(lab.evil, 80, wait=0.2)
        except (OSError, EOFError):
            time.sleep(0.01)
    raise Held("no call was answered")


def saved(lab):
    """Outside, somebody saves the policy while the agent runs: the same, with one more comment, and takes it back."""
    def save():
        with open(lab.policy, "rb") as file:
            text = file.read()
        facts = os.stat(lab.policy)
        lab.await_ready()
        for content in (text + b"# saved\n", text):
            time.sleep(0.2)
            with open(lab.policy, "wb") as file:
                file.write(content)
        os.utime(lab.policy, ns=(facts.st_atime_ns, facts.st_mtime_ns))

    lab.trap(save)
    return {}


@probe("bytes come back from a host that no rule names", before=saved)
def calls_while_the_policy_is_saved(lab):
    """Calls to the attacker over and over, while the policy is saved in place, and only half of it is there."""
    ready()
    until = time.monotonic() + 1
    while time.monotonic() < until:
        try:
            return talk(lab.evil, 80, wait=0.1)
        except (OSError, EOFError):
            pass
    raise Held("no call was answered")


@probe("bytes come back from a host that no rule names", before=saved)
def names_while_the_policy_is_saved(lab):
    """Questions for the attacker's name over and over, while somebody outside saves the policy."""
    ready()
    until = time.monotonic() + 1
    while time.monotonic() < until:
        try:
            return talk("evil.test", 80, wait=0.1)
        except (OSError, EOFError):
            time.sleep(0.002)
    raise Held("no call was answered")


@probe("the policy changes")
def flags_of_the_policy(lab):
    """The append-only flag on the policy, which stops its owner from saving it; taken back."""
    file = os.open(lab.policy, os.O_RDONLY)
    fcntl.ioctl(file, 0x40086602, struct.pack("<l", 0x20))
    fcntl.ioctl(file, 0x40086602, struct.pack("<l", 0))


def replaced(lab, name="policy.yaml", gap=0.0):
    """Outside, somebody saves a file as editors and git do: a new one with the same content takes its place."""
    path = os.path.join(lab.work, name)

    def save():
        lab.await_ready()
        facts = os.stat(path)
        fresh = os.path.join(lab.root, "fresh")
        shutil.copy(path, fresh)
        os.chown(fresh, facts.st_uid, facts.st_gid)
        os.chmod(fresh, facts.st_mode & 0o7777)
        os.utime(fresh, ns=(facts.st_atime_ns, facts.st_mtime_ns))
        if gap:
            os.unlink(path)
            time.sleep(gap)
        if not gap or not os.path.lexists(path):
            os.rename(fresh, path)

    lab.trap(save)
    return {}


def when_it_is_another(path, act):
    """Tries it all the time, while the file is replaced outside."""
    ready()
    until = time.monotonic() + 0.8
    while time.monotonic() < until:
        try:
            act(path)
            break
        except OSError as error:
            last = error
        time.sleep(0.005)
    else:
        raise last
    # the first time may still have been the old file
    time.sleep(0.05)
    try:
        act(path)
    except FileExistsError:
        pass


def append(path):
    with open(path, "ab") as file:
        file.write(RULE)


def reach_under_it(lab):
    """The attacker, whom only a changed policy permits."""
    time.sleep(0.3)
    talk(lab.evil, 80)


REPLACED = "the attacker is reached under a policy that the agent changed"


@probe(REPLACED, before=replaced, spares=["work/policy.yaml"])
def policy_after_it_was_saved(lab):
    """Somebody outside saves the policy as editors do, by a new file renamed over the old: whatever kept the
    agent from the old file does not know the new one."""
    with open(mine(lab), "rb") as file:
        own = file.read()
    when_it_is_another(lab.policy, lambda path: open(path, "wb").write(own))
    reach_under_it(lab)


@probe(REPLACED, before=lambda lab: replaced(lab, gap=0.3), spares=["work/policy.yaml"])
def policy_while_it_is_absent(lab):
    """Somebody outside removes the policy and makes it anew, as git does: in between the agent makes its own."""
    own = mine(lab)
    when_it_is_another(lab.policy, lambda path: os.link(own, path))
    reach_under_it(lab)


@probe(REPLACED, before=replaced, spares=["work/policy.yaml"])
def policy_replaced_after_it_was_saved(lab):
    """Somebody outside saves the policy by a rename; then the agent renames its own over it."""
    when_it_is_another(lab.policy, lambda path: os.rename(mine(lab), path))
    reach_under_it(lab)
