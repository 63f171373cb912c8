use super::*;

fn file(path: &str) -> Option<&'static str> {
    why(Path::new(path), Shape::File)
}

#[test]
fn what_runs_later_is_known_at_any_depth_and_however_it_is_spelled() {
    for path in [
        ".git/hooks/pre-commit",
        "a/b/c/.git/hooks/x",
        ".git/config",
        "vendor/x/.git/config.worktree",
        ".git/modules/x/config",
        ".git/worktrees/x/gitdir",
        ".git/info/attributes",
        ".git/objects/info/alternates",
        ".git/rebase-merge/git-rebase-todo",
        ".git",
        ".git/refs/x/.git/config",
        "sub/.git",
        ".GIT/hooks/x",
        ".git./config",
        "git~1/config",
        ".g\u{200c}it/config",
        ".gitmodules",
        "x/.gitattributes",
        ".envrc",
        ".husky/pre-push",
        ".vscode/tasks.json",
        ".VSCode/tasks.json",
        "a/.mcp.json",
        ".claude/settings.json",
        ".github/workflows/ci.yml",
        "package.json",
        "Makefile",
        "sub/GNUmakefile",
        "rules.mk",
        "setup.py",
        "conftest.py",
        "crates/x/build.rs",
        ".npmrc",
        ".bashrc",
        "x.code-workspace",
        "node_modules/.bin/tsc",
        "docker-compose.dev.yaml",
        "lefthook.yaml",
        ".lefthook-local.yml",
        ".justfile",
        "Taskfile.dist.yml",
        ".pytest.ini",
        "gems.rb",
        ".mise.local.toml",
        "mise.toml",
        "GEMINI.md",
        "Cargo.toml",
        ".en\u{fe0f}vrc",
        "Make\u{fb01}le",
        ".ba\u{17f}hrc",
        "\u{e0061}setup.py",
    ] {
        assert!(file(path).is_some(), "{path}");
    }
    for path in [
        "src/main.rs",
        "README.md",
        ".git/objects/ab/cdef",
        ".git/refs/heads/main",
        ".git/HEAD",
        ".git/index",
        ".git/logs/HEAD",
        ".github/CODEOWNERS",
        "git/config",
        "makefiles/x",
        "package.jsonx",
        "",
    ] {
        assert_eq!(file(path), None, "{path}");
    }
}

#[test]
fn a_directory_called_git_is_none_by_itself_and_a_link_is() {
    assert_eq!(why(Path::new("x/.git"), Shape::Directory), None);
    assert!(why(Path::new("x/.git"), Shape::Other).is_some());
    assert!(why(Path::new("x/.git/objects"), Shape::Other).is_some());
    assert!(why(Path::new("x/.git/hooks"), Shape::Directory).is_some());
    assert!(why_in_repository(Path::new("config"), Shape::File).is_some());
    assert_eq!(why_in_repository(Path::new("HEAD"), Shape::File), None);
}

#[test]
fn the_catalogue_is_written_as_names_are_compared() {
    for (name, reason) in CATALOGUE {
        assert!(name.split('/').all(|part| fold(part) == part), "{name}");
        assert!(
            !reason.is_empty() && CATALOGUE.iter().filter(|entry| entry.0 == *name).count() == 1,
            "{name}"
        );
    }
}

#[test]
fn names_and_patterns_are_protected_wherever_they_stand() {
    let mut protect = Protect::default();
    for name in ["*.service", "deploy/*.sh", "Secrets/"] {
        protect.add(name).unwrap();
    }
    for path in ["a.service", "x/y/A.Service", "deploy/run.sh", "x/deploy/run.sh", "secrets/a/b", "x/secrets"]
    {
        assert!(protect.covers(Path::new(path), Shape::File).is_some(), "{path}");
    }
    for path in ["service", "run.sh", "deploy/x/run.sh", ".git/hooks/x", "a.services"] {
        assert_eq!(protect.covers(Path::new(path), Shape::File), None, "{path}");
    }
    protect.add("standard").unwrap();
    assert!(protect.covers(Path::new(".git/hooks/x"), Shape::File).is_some());
    for bad in ["", "/etc", "a//b", "..", "a/../b", "*", "**/*", "a\nb"] {
        assert!(protect.add(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn stars_match_what_they_say() {
    for (name, pattern, expected) in [
        ("abc", "abc", true),
        ("abc", "ab", false),
        ("abc", "a*", true),
        ("abc", "*c", true),
        ("abc", "a*c", true),
        ("ac", "a*c", true),
        ("a", "a*a", false),
        ("abcbd", "a*b*d", true),
        ("abcd", "a*x*d", false),
        ("abc", "*b*", true),
        ("abab", "*ab", true),
    ] {
        assert_eq!(matches(name, pattern), expected, "{name} {pattern}");
    }
}
