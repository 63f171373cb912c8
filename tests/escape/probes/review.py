"""Reviewed trees: names that the policy protects, brought about by every trick, must not be on the host once everything that may be
applied was applied. Runners that write to the host at once have nothing to review."""

import ctypes
import os

from probe import Held, NotHere, libc, probe


def host(*paths):
    """Looks outside, after the apply: what stands under a protected name."""

    def look(lab, _):
        found = [path for path in paths if os.path.lexists(os.path.join(lab.work, path))]
        return f"on the host: {', '.join(found)}" if found else None

    return look


def put(path, text="#!/bin/sh\necho evil\n"):
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, 0o755)


def reviewed(lab):
    if not lab.review:
        raise NotHere("this runner reviews nothing")


def left():
    raise Held("it was written, and the suite looks whether it came to the host")


def exchange(one, other):
    if libc.renameat2(-100, one.encode(), -100, other.encode(), 2):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@probe("a hook is on the host", look=host(".git/hooks/post-checkout"))
def hook(lab):
    """A git hook where the host has none."""
    reviewed(lab)
    put(".git/hooks/post-checkout")
    left()


@probe("a hook is on the host", look=host("a/b/c/.git/hooks/x"))
def nested_hook(lab):
    """A git hook of a repository deep in the tree."""
    reviewed(lab)
    put("a/b/c/.git/hooks/x")
    left()


@probe("a hook is on the host", look=host("n/.git/hooks/x"))
def renamed_directory(lab):
    """A directory that is filled under a plain name and renamed afterwards."""
    reviewed(lab)
    put("n/plain/hooks/x")
    os.rename("n/plain", "n/.git")
    left()


@probe("a hook is on the host", look=host("m/.git/hooks/x"))
def exchanged_directories(lab):
    """Two directories whose names are exchanged in one step."""
    reviewed(lab)
    put("m/plain/hooks/x")
    os.makedirs("m/.git")
    exchange("m/plain", "m/.git")
    left()


@probe("settings are on the host", look=host("k/.npmrc"))
def hard_link_to_a_protected_name(lab):
    """A protected name as another name of a plain file."""
    reviewed(lab)
    put("k/plain")
    os.link("k/plain", "k/.npmrc")
    left()


@probe("a profile is on the host", look=host("k/.bashrc", "k/.git"))
def symbolic_link_as_a_protected_name(lab):
    """Protected names that are links to plain files and directories."""
    reviewed(lab)
    put("k/plain/hooks/x")
    os.symlink("plain/hooks/x", "k/.bashrc")
    os.symlink("plain", "k/.git")
    left()


@probe("a hook is on the host", look=host(".git/hooks/through"))
def write_through_a_link(lab):
    """A file that is written through a link to a protected directory."""
    reviewed(lab)
    os.makedirs(".git/hooks")
    os.symlink(".git/hooks", "way")
    put("way/through")
    left()


@probe("a hook is on the host", look=host("u/.GIT/hooks/x", "u/.git./hooks/x", "u/git~1/config", "u/.g\u200cit/config"))
def other_spelling(lab):
    """Names that other file systems read as `.git`: in another case, with a dot, short, with what cannot be seen."""
    reviewed(lab)
    for path in ("u/.GIT/hooks/x", "u/.git./hooks/x", "u/git~1/config", "u/.g\u200cit/config"):
        put(path)
    left()


@probe("settings are on the host", look=host("bare/config", "bare/hooks/x"))
def repository_of_another_name(lab):
    """A repository that is not called `.git`, which git recognises by what is in it."""
    reviewed(lab)
    os.makedirs("bare/objects")
    os.makedirs("bare/refs")
    put("bare/HEAD", "ref: refs/heads/main\n")
    put("bare/config", "[core]\n\tfsmonitor = ./evil\n")
    put("bare/hooks/x")
    left()


@probe("settings are on the host", look=host("w/.git"))
def file_that_leads_git_elsewhere(lab):
    """A `.git` that is a file and names another repository."""
    reviewed(lab)
    put("w/.git", "gitdir: ../plain\n")
    left()


@probe("settings are on the host", look=host(
    ".envrc", ".vscode/tasks.json", ".mcp.json", ".claude/settings.json", ".github/workflows/x.yml", "package.json", "Makefile"))
def files_that_run_later(lab):
    """Files that shells, editors, agents, forges and builds run."""
    reviewed(lab)
    for path in (".envrc", ".vscode/tasks.json", ".mcp.json", ".claude/settings.json", ".github/workflows/x.yml",
                 "package.json", "Makefile"):
        put(path)
    left()


@probe("a special file is on the host", look=host("special/pipe", "special/socket"))
def special_files(lab):
    """Pipes and sockets, which somebody outside would wait for or talk to."""
    import socket

    reviewed(lab)
    os.makedirs("special")
    os.mkfifo("special/pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("special/socket")
    left()


@probe("the file is on the host", look=lambda lab, _: "written through a link"
       if os.path.lexists(os.path.join(lab.home, "led-here")) else None)
def apply_through_a_link(lab):
    """A link to the home of whoever applies, and under the same name a directory with a file in it, one after the other."""
    reviewed(lab)
    os.makedirs("led")
    put("led/led-here")
    os.rename("led", "led-away")
    os.symlink(lab.home, "led")
    try:
        put("led/led-here")
    finally:
        if os.path.lexists(os.path.join(lab.home, "led-here")):
            os.unlink("led")
    left()
