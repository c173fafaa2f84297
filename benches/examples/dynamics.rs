//! Questions of dynamics beside what others do for them, interleaved in one run: processor time of one thread unless the
//! table says otherwise, and what each found.
//!
//! `benches/dynamics/compare` installs what the others need and runs this; `--quick` runs little of everything, to see
//! that it works. Without PYTHON in the environment only tinyfold runs.

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let quick = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => false,
        ["--quick"] => true,
        _ => {
            eprintln!("dynamics: expected nothing or --quick, found {}", arguments.join(" "));
            std::process::exit(2);
        }
    };
    let rows = tinyfold_benches::dynamics::run(quick, std::env::var("PYTHON").ok().as_deref());
    let over = rows.iter().filter(|row| row.limit.is_some_and(|limit| row.ours > limit));
    let over: Vec<&str> = over.map(|row| row.quantity.as_str()).collect();
    if over.is_empty() {
        println!("\nwithin all limits");
    } else {
        println!("\nover the limit: {}", over.join("; "));
    }
}
