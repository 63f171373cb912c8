"""Files: reading what was not shown, writing what was not given, and what is left in the working directory."""

import ctypes
import fcntl
import mmap
import os
import stat
import struct
import threading
import time

from probe import Held, NotHere, libc, probe, reaches_kernel, syscall


def secret(lab, path):
    """Reads the secret there, or is held."""
    with open(path) as file:
        if lab.secret not in file.read():
            raise Held("another file")


def write(path, flags=os.O_APPEND, text=b"written by the agent\n"):
    """Writes to it. Whether that was the guarded file is seen outside: what is private looks the same from inside."""
    file = os.open(path, os.O_WRONLY | flags, 0o644)
    os.write(file, text)
    os.close(file)
    raise Held("it was written to, and the suite looks whether outside")


def shown(path="/etc/passwd"):
    """A system file that is shown to every program; the suite has laid a copy over the machine's own."""
    return os.open(path, os.O_RDONLY)


def looked(what):
    raise Held(f"{what}, and the suite looks whether outside")


# Reading.


@probe("the key is read")
def private_key(lab):
    """The SSH key of whoever started the agent."""
    secret(lab, os.path.join(lab.home, ".ssh/id_ed25519"))


@probe("the credentials are read")
def cloud_credentials(lab):
    """The credentials of a cloud in the home directory."""
    secret(lab, os.path.join(lab.home, ".aws-credentials"))


@probe("the hashes are read")
def shadow(lab):
    """The hashes of passwords in /etc/shadow."""
    secret(lab, "/etc/shadow")


@probe("the hashes are read")
def group_shadow(lab):
    """The hashes of group passwords in /etc/gshadow."""
    secret(lab, "/etc/gshadow")


@probe("the host's key is read")
def ssh_host_key(lab):
    """The private key of the host's SSH server."""
    secret(lab, "/etc/ssh/ssh_host_ed25519_key")


@probe("the key is read")
def key_below_a_shown_directory(lab):
    """The private key of a TLS server in /etc/ssl/private, below a directory that programs need."""
    secret(lab, "/etc/ssl/private/server")


@probe("the key is read")
def odd_spellings_of_a_path(lab):
    """A masked file by other spellings of its path: doubled slashes, dots, through a link of /proc."""
    for path in ("//etc//ssl//private//server", "/etc/./ssl/private/./server", "/etc/ssl/certs/../private/server",
                 "/proc/self/root/etc/ssl/private/server",
                 "/proc/thread-self/cwd/../../../../../etc/ssl/private/server"):
        try:
            return secret(lab, path)
        except OSError:
            pass
    raise Held("none of the spellings leads there")


@probe("the notes are read")
def files_of_another_user(lab):
    """A file of another user of the host."""
    secret(lab, os.path.join(lab.root, "other/notes"))


@probe("names of files in the home are seen")
def listing_of_the_home(lab):
    """The names of the files in the home directory of whoever started the agent."""
    if ".ssh" not in os.listdir(lab.home):
        raise Held("another directory")


@probe("names of files are seen")
def listing_of_other_homes(lab):
    """The names of the files in /root and /home."""
    if not [name for home in ("/root", "/home") if os.path.isdir(home) for name in os.listdir(home) if name != "agent"]:
        raise Held("nothing there")


@probe("names of files are seen")
def listing_beside_the_working_directory(lab):
    """The names of the files in the directory above the working directory."""
    if len(os.listdir("..")) < 2:
        raise Held("nothing but the working directory")


@probe("the log is read")
def system_log(lab):
    """A log in /var/log."""
    secret(lab, "/var/log/escape.log")


@probe("the state is read")
def runtime_directory(lab):
    """Files of a service in its directory for the time it runs, as in /run."""
    with open(os.path.join(lab.run, "state")) as file:
        if "untouched" not in file.read():
            raise Held("another file")


@probe("the private key is read")
def dots_to_read(lab):
    """A relative path with .. to a key that lies beside the working directory."""
    with open("../ca.key") as file:
        if "PRIVATE KEY" not in file.read():
            raise Held("another file")


@probe("the key is read")
def link_to_read(lab):
    """A symbolic link in the working directory to a key outside of it."""
    os.symlink(os.path.join(lab.home, ".ssh"), "link")
    secret(lab, "link/id_ed25519")


@probe("the key is read")
def working_directory_of_proc(lab):
    """Up from /proc/self/cwd, which leads past a changed root."""
    secret(lab, "/proc/self/cwd/../home/.ssh/id_ed25519")


@probe("the key is read")
def root_of_proc(lab):
    """Down from /proc/self/root and the root of every process that is seen."""
    for number in [name for name in os.listdir("/proc") if name.isdigit()] + ["self"]:
        try:
            return secret(lab, f"/proc/{number}/root{lab.home}/.ssh/id_ed25519")
        except OSError:
            pass
    raise Held("no root leads there")


@probe("the key is read")
def descriptor_of_a_parent(lab):
    """Directory descriptors that climb: openat of .. until the root, and down again from there."""
    at = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(12):
        at = os.open("..", os.O_PATH | os.O_DIRECTORY, dir_fd=at)
    file = os.open(lab.home[1:] + "/.ssh/id_ed25519", os.O_RDONLY, dir_fd=at)
    if lab.secret.encode() not in os.read(file, 4096):
        raise Held("another file")


@probe("the key is read")
def race_of_links(lab):
    """A name in the working directory flips between a harmless directory and a link to the home, until a check of the
    path and the opening see two different things."""
    os.mkdir("good")
    os.mkdir("good/.ssh")
    open("good/.ssh/id_ed25519", "w").close()
    os.symlink("good", "name")
    until = time.monotonic() + 0.5

    def flip():
        while time.monotonic() < until:
            for target in ("good", lab.home):
                os.symlink(target, "next")
                os.rename("next", "name")

    threading.Thread(target=flip, daemon=True).start()
    while time.monotonic() < until:
        try:
            return secret(lab, "name/.ssh/id_ed25519")
        except (OSError, Held):
            pass
    raise Held("never the other one")


@probe("the kernel watches the directory")
def watch_of_a_hidden_directory(lab):
    """inotify(7) on the home's .ssh, which tells when keys are used."""
    watcher = libc.inotify_init()
    if libc.inotify_add_watch(watcher, os.path.join(lab.home, ".ssh").encode(), 0xFFF) < 0:
        raise OSError(ctypes.get_errno(), "no such directory to watch")


@probe("the device file is made")
def block_device(lab):
    """A device file for the host's disk, made in the working directory."""
    if os.major(os.stat(".").st_dev) == 0:
        raise NotHere("no block device is below the working directory")
    os.mknod("disk", stat.S_IFBLK | 0o600, os.stat(".").st_dev)


@probe("the device opens")
def character_device(lab):
    """A device file for the kernel's log, made in the private directory for temporary files."""
    path = f"/tmp/{lab.marker}"
    os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 11))
    os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))


@probe("a file handle of the file system's root is opened")
def file_handle(lab):
    """open_by_handle_at(2) with a guessed handle: inode 2, the root of the file system below the working directory."""
    here = os.open(".", os.O_RDONLY)
    handle = ctypes.create_string_buffer(struct.pack("<IiII", 8, 1, 2, 0), 136)
    reaches_kernel(304, here, handle, os.O_RDONLY)


# Writing.


@probe("the file changes outside")
def authorized_keys(lab):
    """A key of the attacker's among those that may log in."""
    os.makedirs(os.path.join(lab.home, ".ssh"), exist_ok=True)
    write(os.path.join(lab.home, ".ssh/authorized_keys"), os.O_APPEND | os.O_CREAT)


@probe("the file changes outside")
def shell_startup_file(lab):
    """A line in the file that the user's next shell reads."""
    write(os.path.join(lab.home, ".bashrc"), os.O_APPEND | os.O_CREAT)


@probe("the file changes outside")
def crontab(lab):
    """A line in a crontab."""
    write("/var/spool/crontab")


@probe("the file changes outside")
def another_account(lab):
    """A line in /etc/passwd, which is shown."""
    write("/etc/passwd")


@probe("a program of the system opens for writing")
def program_of_the_system(lab):
    """A program in /usr/bin, opened for writing."""
    os.close(os.open("/usr/bin/env", os.O_WRONLY))


@probe("a file is made below /usr")
def unnamed_file_of_the_system(lab):
    """A file without a name (O_TMPFILE) in a directory of the system's libraries."""
    os.close(os.open("/usr/lib", os.O_TMPFILE | os.O_WRONLY, 0o600))


@probe("the file changes outside")
def dots_to_write(lab):
    """A relative path with .. to a file beside the working directory."""
    write("../run/state")


@probe("a new file appears outside")
def new_file_above(lab):
    """A new file in the directory above the working directory."""
    write(f"../{lab.marker}", os.O_CREAT)


@probe("a new file appears outside")
def new_temporary_file(lab):
    """A new file in /tmp, which other processes of the host share."""
    write(f"/tmp/{lab.marker}", os.O_CREAT)


@probe("a new file appears outside")
def new_shared_memory(lab):
    """A new file in /dev/shm, which other processes of the host share."""
    write(f"/dev/shm/{lab.marker}", os.O_CREAT)


@probe("a new file appears outside")
def new_file_in_the_home(lab):
    """A new file in the home directory."""
    write(os.path.join(lab.home, lab.marker), os.O_CREAT)


@probe("the file changes outside")
def link_to_write(lab):
    """A symbolic link in the working directory to a file outside of it."""
    os.symlink(os.path.join(lab.run, "state"), "link")
    write("link")


@probe("a new file appears outside")
def dangling_link(lab):
    """A symbolic link to a file that does not exist yet, which the opening makes."""
    os.symlink(os.path.join(lab.run, lab.marker), "link")
    write("link", os.O_CREAT)


@probe("the file changes outside")
def hard_link(lab):
    """A hard link in the working directory to a file outside of it."""
    os.link(os.path.join(lab.run, "state"), "link")
    write("link")


@probe("a new file appears outside")
def unnamed_file_linked_out(lab):
    """A file without a name (O_TMPFILE), linked into a directory outside."""
    file = os.open(".", os.O_TMPFILE | os.O_WRONLY, 0o600)
    os.link(f"/proc/self/fd/{file}", os.path.join(lab.home, lab.marker), src_dir_fd=os.open("/", os.O_RDONLY))
    looked("it was linked")


@probe("the directory moves")
def rename_of_a_directory(lab):
    """A directory of the home, renamed into the working directory."""
    os.rename(os.path.join(lab.home, ".ssh"), "moved")
    looked("it was moved")


@probe("the file changes outside")
def rename_over_a_file(lab):
    """A file of the working directory, renamed over one of the home."""
    with open("mine", "w") as file:
        file.write("written by the agent\n")
    os.rename("mine", os.path.join(lab.home, ".bashrc"))
    looked("it was moved")


@probe("the file is gone outside")
def removal(lab):
    """Removes a file of a service of the host."""
    os.unlink(os.path.join(lab.run, "state"))


@probe("the file changes outside")
def truncation(lab):
    """truncate(2) of a shown file, which needs no descriptor."""
    os.truncate("/etc/passwd", 0)
    looked("it was truncated")


@probe("the mode changes outside")
def mode_by_descriptor(lab):
    """fchmod(2) on a descriptor of a shown file that was opened for reading."""
    os.fchmod(shown(), 0o666)
    looked("its mode was set")


@probe("the owner changes outside")
def owner_by_descriptor(lab):
    """fchown(2) on a descriptor of a shown file that was opened for reading."""
    os.fchown(shown(), 12345, 12345)
    looked("its owner was set")


@probe("the time changes outside")
def time_by_descriptor(lab):
    """futimens(3) on a descriptor of a shown file that was opened for reading."""
    os.utime(shown(), (1, 1))
    looked("its time was set")


@probe("the attribute is there outside")
def attribute_by_descriptor(lab):
    """fsetxattr(2) on a descriptor of a shown file that was opened for reading."""
    os.setxattr(shown(), "user.escape", b"x")
    looked("its attribute was set")


@probe("the list is there outside")
def access_control_list(lab):
    """An access control list on a shown file, which lets another user write it."""
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in (
        (1, 6, 0xFFFFFFFF), (2, 7, 3003), (4, 4, 0xFFFFFFFF), (16, 7, 0xFFFFFFFF), (32, 4, 0xFFFFFFFF)))
    os.setxattr("/etc/passwd", "system.posix_acl_access", acl)
    looked("its list was set")


@probe("the file changes outside")
def descriptor_opened_again(lab):
    """A descriptor of a shown file that was opened for reading, opened again for writing by /proc/self/fd."""
    write(f"/proc/self/fd/{shown()}")


@probe("the file changes outside")
def path_descriptor_opened_again(lab):
    """A descriptor that only names a shown file (O_PATH), opened for writing by /proc/self/fd."""
    write(f"/proc/self/fd/{os.open('/etc/passwd', os.O_PATH)}", os.O_TRUNC)


@probe("the file changes outside")
def shared_mapping(lab):
    """A shared mapping of a shown file, written by stores instead of write(2)."""
    file = os.open("/etc/passwd", os.O_RDWR)
    with mmap.mmap(file, 0, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE) as memory:
        memory[:4] = b"evil"
    looked("it was written to")


@probe("the file changes outside")
def copied_range(lab):
    """copy_file_range(2) into a shown file."""
    with open("mine", "w") as file:
        file.write("written by the agent\n")
    os.copy_file_range(os.open("mine", os.O_RDONLY), os.open("/etc/passwd", os.O_WRONLY), 21)
    looked("it was written to")


@probe("the file changes outside")
def spliced_pipe(lab):
    """splice(2) from a pipe into a shown file whose descriptor was got read-only, and then one for writing."""
    source, sink = os.pipe()
    os.write(sink, b"written by the agent\n")
    for flags in (os.O_RDONLY, os.O_WRONLY):
        try:
            os.splice(source, os.open("/etc/passwd", flags), 21)
            looked("it was written to")
        except OSError:
            if flags == os.O_WRONLY:
                raise


@probe("the file changes outside")
def punched_hole(lab):
    """fallocate(2) that punches a hole into a shown file."""
    file = os.open("/etc/passwd", os.O_RDWR)
    syscall(285, file, 3, 0, 4096)
    looked("a hole was made")


@probe("the file changes outside")
def shown_file_writable_again(lab):
    """mount(2) that makes the mount of a shown file writable again."""
    if libc.mount(None, b"/etc/passwd", None, 4096 | 32, None) < 0:
        raise OSError(ctypes.get_errno(), "mount")
    write("/etc/passwd")


@probe("bytes arrive at a process outside")
def pipe_of_the_host(lab):
    """A named pipe that a process of the host reads."""
    os.write(os.open(os.path.join(lab.run, "pipe"), os.O_WRONLY | os.O_NONBLOCK), lab.mark().encode())


def locked(lab):
    """A lock on a shown file, as somebody outside may hold it. Returns what ends it."""
    lab.lock = open("/etc/passwd", "rb")
    fcntl.flock(lab.lock, fcntl.LOCK_EX)
    return {}


def unlocked(lab, output):
    lab.lock.close()


@probe("somebody's lock outside is met", before=locked, look=unlocked)
def lock_on_a_shown_file(lab):
    """flock(2) on a file of the host that is shown: who holds such a lock stops programs outside."""
    try:
        fcntl.flock(shown(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    raise Held("the lock is another one")


@probe("the kernel grants the lease")
def lease_on_a_shown_file(lab):
    """A lease (fcntl(2)) on a file of the host that is shown: whoever opens it outside waits, up to 45 seconds."""
    fcntl.fcntl(shown(), 1024, fcntl.F_WRLCK)


# What is left in the working directory.


def privileged(lab, output):
    """Programs in the working directory that run with the rights of their owner."""
    for directory, _, names in os.walk(lab.work):
        for name in names:
            facts = os.lstat(os.path.join(directory, name))
            # those that the lab itself made, for probes of what is executed
            if name.startswith("lifts-by-"):
                continue
            if stat.S_ISREG(facts.st_mode) and facts.st_mode & (stat.S_ISUID | stat.S_ISGID):
                return f"{name} in the working directory runs with the rights of user {facts.st_uid}"
    return None


@probe("the bit is set outside", look=privileged)
def set_user_id_program(lab):
    """A program in the working directory with the set-user-id bit, for any other user of the host to run: chmod(2)."""
    with open("tool", "w") as file:
        file.write("#!/bin/sh\n")
    os.chmod("tool", 0o4755)
    looked("the bit was set")


@probe("the bit is set outside", look=privileged)
def set_user_id_from_the_start(lab):
    """The same bit in the mode of a file that is being made: open(2)."""
    os.umask(0)
    os.close(os.open("tool", os.O_CREAT | os.O_WRONLY, 0o4777))
    looked("it was made")


@probe("the bit is set outside", look=privileged)
def set_group_id_program(lab):
    """A program with the set-group-id bit: fchmodat(2)."""
    os.close(os.open("tool", os.O_CREAT | os.O_WRONLY, 0o755))
    os.chmod("tool", 0o2755, dir_fd=os.open(".", os.O_RDONLY))
    looked("the bit was set")


@probe("the capabilities are there outside")
def capabilities_of_a_file(lab):
    """A program in the working directory with file capabilities, for any other user of the host to run."""
    os.close(os.open("tool", os.O_CREAT | os.O_WRONLY, 0o755))
    os.setxattr("tool", "security.capability", struct.pack("<IIIII", 0x02000001, 1 << 21, 0, 0, 0))


@probe("the file belongs to somebody else outside")
def file_given_away(lab):
    """A file in the working directory that is given to another user."""
    os.close(os.open("tool", os.O_CREAT | os.O_WRONLY, 0o755))
    os.chown("tool", 12345, 12345)


@probe("the attribute is there outside")
def trusted_attribute(lab):
    """An attribute of the file system that only the system may set (trusted.*), as overlays use them to redirect."""
    os.setxattr(".", "trusted.overlay.redirect", b"/etc")
    os.removexattr(".", "trusted.overlay.redirect")


@probe("the file cannot be changed any more outside")
def immutable_file(lab):
    """The immutable flag on a file of the working directory, which even its owner cannot remove."""
    file = os.open("tool", os.O_CREAT | os.O_WRONLY, 0o755)
    for flags in (0x10, 0):
        fcntl.ioctl(file, 0x40086602, struct.pack("<l", flags))
