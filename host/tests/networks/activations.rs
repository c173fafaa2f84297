//! The table of docs/activations.md is the one that the bench makes.

use std::path::Path;

use tinyfold::bench::baseline::{self, Baseline};
use tinyfold::bench::{activations, table};

#[test]
fn the_table_of_the_document_is_the_one_computed() {
    let baseline = Baseline::load(&baseline::file()).expect("committed");
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/activations.md");
    let computed = activations::table(&baseline).expect("every activation is in the bench");
    assert_eq!(
        table::read_part(&place).expect("marked"),
        computed,
        "tinyfold bench --accept writes it again"
    );
}
