//! Packed places of the words of a network.

/// Where `pack` puts the words of `parts`, in their order; nowhere what it leaves out.
pub fn places<const N: usize>(
    parts: &[Vec<f64>; N],
    pack: impl FnOnce(&[Vec<f64>; N]) -> Vec<f64>,
) -> [Vec<usize>; N] {
    // No gain or center is an integer from 100 on.
    let mut count = 99.0;
    let marks = parts.clone().map(|part| {
        part.iter()
            .map(|_| {
                count += 1.0;
                count
            })
            .collect::<Vec<f64>>()
    });
    let words = pack(&marks);
    marks.map(|part| {
        part.iter().map(|mark| words.iter().position(|word| word == mark).expect("packed")).collect()
    })
}
