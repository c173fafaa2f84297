//! `tinyfold import`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::json;

use super::say;
use crate::format::foreign::{self, Given, Imported};
use crate::format::network::{self, names};
use crate::{Error, Result};

/// Makes a network of tinyfold from a safetensors or npz file of any other tool.
#[derive(clap::Args)]
#[command(
    after_help = "Example: tinyfold import theirs.npz -o network.safetensors --map J=W,Win=B --form current --alpha 0.2 --activation tanh"
)]
pub struct Args {
    /// The file: .safetensors or .npz; NAME.json and NAME.meta.json beside it are read too.
    file: PathBuf,
    /// The network to write: .safetensors or .npz; default: only say what was found.
    #[arg(short, long)]
    out: Option<PathBuf>,
    /// Their names of arrays and ours (W, B, b, C, c, initial; A, W, h with or without alphas, H, or A, W1, W2, h1, h2 of
    /// plrnn; traj, traj_u, traj_y to compare with); NAME.T for a transposed array.
    #[arg(long, value_delimiter = ',', value_name = "THEIRS=OURS")]
    map: Vec<String>,
    /// rate: h' = (1 - alpha) h + alpha phi(W h + B u + b); current: a' = (1 - alpha) a + alpha (W phi(a) + B u + b);
    /// plrnn: z' = A z + W relu(z) + h + B u, z' = A z + W1 relu(W2 z + h2) + h1 + B u or, dendritic,
    /// z' = A z + W sum_k alphas_k relu(z - H_k) + h + B u.
    #[arg(long, value_parser = ["rate", "current", "plrnn"])]
    form: Option<String>,
    /// Leak: the step by the time constant; 1 for a plain map.
    #[arg(long)]
    alpha: Option<f64>,
    /// phi: linear, relu, tanh or sigmoid.
    #[arg(long, value_parser = ["linear", "relu", "tanh", "sigmoid"])]
    activation: Option<String>,
    /// The network has no inputs: it gets one that changes nothing, as networks here have one.
    #[arg(long)]
    no_inputs: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// As [`foreign::read`]; a file that cannot be written.
pub fn run(args: &Args) -> Result<()> {
    let mut map = BTreeMap::new();
    for pair in &args.map {
        let (theirs, ours) = pair
            .split_once('=')
            .ok_or_else(|| Error::input("--map", "THEIRS=OURS, as J=W", pair.as_str()))?;
        map.insert(theirs.to_owned(), ours.to_owned());
    }
    let given = Given {
        map,
        form: args.form.clone(),
        alpha: args.alpha,
        no_inputs: args.no_inputs,
        activation: args.activation.as_deref().and_then(|name| names::parse_activation(name, &[])),
    };
    let imported = foreign::read(&args.file, &given)?;
    if let Some(out) = &args.out {
        network::save(out, &imported.network)?;
    }
    if args.json {
        say!("{}", serde_json::to_string_pretty(&described(&imported)).expect("plain data becomes JSON"));
        return Ok(());
    }
    print(&imported);
    if let Some(out) = &args.out {
        say!("network in {}", out.display());
    }
    Ok(())
}

fn described(imported: &Imported) -> serde_json::Value {
    let network = &imported.network;
    let sources: Vec<serde_json::Value> = imported
        .sources
        .iter()
        .map(|[ours, theirs, source]| json!({ "part": ours, "found": theirs, "source": source }))
        .collect();
    json!({
        "schema": 1,
        "neurons": network.neurons(),
        "inputs": network.input.ncols(),
        "outputs": network.readout.nrows(),
        "form": names::form(network.form),
        "alpha": network.alpha,
        "activation": names::activation(network.activation).0,
        "sources": sources,
        "comparison": imported.comparison,
        "outputs_compared": imported.outputs,
    })
}

fn print(imported: &Imported) {
    let network = &imported.network;
    let (n, inputs, outputs) = (network.neurons(), network.input.ncols(), network.readout.nrows());
    say!("{n} neurons, {inputs} inputs, {outputs} outputs");
    for [ours, theirs, source] in &imported.sources {
        say!("  {ours:<11} {theirs:<10} from {source}");
    }
    if let Some(c) = &imported.outputs {
        say!(
            "stored outputs: {} steps of whole runs, the largest difference {:.1e} (rounding allows {:.1e})",
            c.steps,
            c.off,
            c.bound
        );
        return;
    }
    let Some(c) = &imported.comparison else {
        let doubt = ", so that nobody knows whether W is the right way round";
        say!(
            "no stored trajectories with inputs (traj or traj_y, with traj_u): nothing was compared{}",
            if imported.known { "" } else { doubt }
        );
        return;
    };
    say!(
        "stored trajectories: {} steps, the largest difference of one {:.1e} (rounding allows {:.1e}), of whole runs {:.1e}",
        c.steps,
        c.step,
        c.bound,
        c.run
    );
    if let Some([off, bound]) = c.output {
        say!("stored outputs: the largest difference {off:.1e} (rounding allows {bound:.1e})");
    }
}
