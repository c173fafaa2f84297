//! The README's commands run, and print what it says they print, but for numbers.

use std::path::Path;
use std::process::Command;

/// Lines with every run of digits as `#`: times and rounding differ between machines, words do not.
fn shape(text: &str) -> Vec<String> {
    text.lines()
        .map(|line| {
            let mut out = String::new();
            for letter in line.trim_end().chars() {
                let letter = if letter.is_ascii_digit() { '#' } else { letter };
                if letter != '#' || !out.ends_with('#') {
                    out.push(letter);
                }
            }
            // Columns shift with the width of numbers.
            out.replace("e-#", "e#").split_whitespace().collect::<Vec<&str>>().join(" ")
        })
        .collect()
}

/// Commands of all console blocks, each with the lines that follow it.
fn commands(readme: &str) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    let mut inside = false;
    for line in readme.lines() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if inside {
            match line.strip_prefix("$ ") {
                Some(command) => commands.push((command.into(), String::new())),
                None => {
                    if let Some((_, output)) = commands.last_mut() {
                        output.push_str(line);
                        output.push('\n');
                    }
                }
            }
        }
    }
    commands
}

#[test]
fn the_readme_tells_the_truth() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md"))
        .expect("a README");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut ran = 0;
    for (command, expected) in commands(&readme) {
        // The test command is what runs this test.
        if command == "scripts/test" {
            continue;
        }
        let args = command
            .strip_prefix("cargo run --release -- ")
            .or_else(|| command.strip_prefix("tinyfold "))
            .unwrap_or_else(|| panic!("the README has a command that no test knows: {command}"));
        let output = Command::new(env!("CARGO_BIN_EXE_tinyfold"))
            .args(args.split_whitespace())
            .current_dir(folder.path())
            .output()
            .expect("runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(shape(&text), shape(&expected), "{command}\nprinted\n{text}");
        ran += 1;
    }
    assert!(ran >= 5, "only {ran} commands found");
    for file in ["report.html", "report.json", "exact.tfld", "figures/traces.svg", "figures/traces.png"] {
        let path = folder.path().join("runs/quickstart").join(file);
        assert!(std::fs::metadata(&path).is_ok_and(|file| file.len() > 1000), "{file} is missing or empty");
    }
}
