//! Instructions of one step on this host, by valgrind's callgrind:
//! `cargo run --release -p tinyfold-benches --example callgrind`.
//!
//! Runs itself under valgrind once a contender and size; only the body of [`counted`] is counted, in the
//! third step.

use std::hint::black_box;
use std::process::{Command, ExitCode};

use tinyfold_benches::{CHANNELS, Contender, Step, contenders};

const SIZES: [usize; 4] = [16, 32, 64, 128];

fn contenders_of(n: usize) -> Vec<Contender> {
    match n {
        16 => contenders::<16, 18>(),
        32 => contenders::<32, 34>(),
        64 => contenders::<64, 66>(),
        _ => contenders::<128, 130>(),
    }
}

#[inline(never)]
fn counted(step: &mut Step, x: [f32; CHANNELS]) -> [f32; CHANNELS] {
    step(&x)
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [n, index] = &args[..] {
        let (n, index): (usize, usize) = (n.parse().expect("a size"), index.parse().expect("an index"));
        let mut contender = contenders_of(n).swap_remove(index);
        let x = black_box([0.5, -0.25]);
        for _ in 0..2 {
            black_box((contender.step)(&x));
        }
        black_box(counted(&mut contender.step, x));
        return ExitCode::SUCCESS;
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!("valgrind is not on this machine; to get it, type: sudo apt-get install valgrind");
        return ExitCode::from(2);
    }
    println!("instructions of one step on this host, by callgrind");
    println!("{:<22} {}", "", SIZES.map(|n| format!("{:>10}", format!("n = {n}"))).join(""));
    for (index, contender) in contenders_of(SIZES[0]).iter().enumerate() {
        let counts = SIZES.map(|n| format!("{:>10}", count(n, index)));
        println!("{:<22} {}", contender.name, counts.join(""));
    }
    ExitCode::SUCCESS
}

fn count(n: usize, index: usize) -> u64 {
    let program = std::env::current_exe().expect("its own path");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*callgrind::counted*"])
        .arg(program)
        .args([n.to_string(), index.to_string()])
        .output()
        .expect("valgrind runs");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let collected = text.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    collected.unwrap_or_else(|| panic!("valgrind said\n{text}"))
}
