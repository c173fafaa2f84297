//! Piecewise-linear networks of other tools.

use faer::Mat;

use super::Reader;
use crate::format::arrays::Array;
use crate::format::plrnn::Plrnn;
use crate::network::Network;
use crate::{Error, Result};

impl Reader {
    /// Whether the file holds a piecewise-linear network: it is said, or nobody says another form and there is an A or AW.
    pub(super) fn is_plrnn(&self) -> Result<bool> {
        Ok(match self.said_form() {
            Some((_, form)) => form == "plrnn",
            None => self.name("A")?.is_some() || self.name("AW")?.is_some(),
        })
    }

    pub(super) fn plrnn(&mut self) -> Result<Plrnn> {
        let (place, found) = self.said_form().unwrap_or(("an array A".into(), "plrnn".into()));
        self.note("form", found, place);
        let (a, both) = self.autoregression()?;
        let n = a.nrows();
        let shallow = self.name("W1")?.is_some();
        let names = if shallow { ["W1", "h1"] } else { ["W", "h"] };
        let w = match both {
            Some(w) if !shallow => w,
            _ => {
                let w = self.required(names[0], "the weights of relu")?;
                self.matrix(names[0], w, [n, if shallow { 0 } else { n }])?
            }
        };
        let h = column(self.vector(names[1], n)?.unwrap_or(vec![0.0; n]));
        let mut plrnn = Plrnn { a, w, h, hidden: None, input: Mat::zeros(n, 0) };
        if shallow {
            let g = plrnn.w.ncols();
            let q = self.required("W2", "the weights inside of relu, g × n")?;
            let q = self.matrix("W2", q, [g, n])?;
            plrnn.hidden = Some((q, column(self.vector("h2", g)?.unwrap_or(vec![0.0; g]))));
        } else if let Some((theirs, alphas)) = self.array("alphas")? {
            plrnn = plrnn.dendritic(&alphas.values, &self.thresholds(n, (&theirs, &alphas))?);
        }
        plrnn.input = self.input(n, true)?;
        Ok(plrnn)
    }

    /// A, and W where both are in one array AW: A on its diagonal, W off it.
    fn autoregression(&mut self) -> Result<(Mat<f64>, Option<Mat<f64>>)> {
        if self.name("A")?.is_none()
            && let Some((theirs, both)) = self.array("AW")?
        {
            let n = both.shape.first().copied().unwrap_or(0);
            let both = self.matrix("AW", (theirs, both), [n, n])?;
            let part = |diagonal: bool| {
                Mat::from_fn(n, n, |i, j| if (i == j) == diagonal { both[(i, j)] } else { 0.0 })
            };
            return Ok((part(true), Some(part(false))));
        }
        let (theirs, a) = self.required("A", "A of z' = A z + W relu(z) + h, n × n or its diagonal")?;
        let n = a.shape.first().copied().unwrap_or(0);
        let a = match a.shape.len() {
            1 => Mat::from_fn(n, n, |i, j| if i == j { a.values[i] } else { 0.0 }),
            _ => self.matrix("A", (theirs, a), [n, n])?,
        };
        Ok((a, None))
    }

    /// H, n × K, of K alphas: as it is, or minus thetas.
    fn thresholds(&mut self, n: usize, (theirs, alphas): (&str, &Array)) -> Result<Mat<f64>> {
        let bases = alphas.values.len();
        if alphas.shape.len() != 1 || bases == 0 {
            let place = self.file.place(&format!("array {theirs}"));
            let expected = "shape [K], K at least 1, as alphas";
            return Err(Error::input(place, expected, format!("{:?}", alphas.shape)));
        }
        if let Some(thetas) = self.array("thetas")? {
            return Ok(faer::Scale(-1.0) * self.matrix("thetas", thetas, [n, bases])?);
        }
        let h = self
            .required("H", "the thresholds of relu(z - H), n × K (or thetas, those of relu(z + thetas))")?;
        self.matrix("H", h, [n, bases])
    }

    pub(super) fn piecewise(&mut self, plrnn: &Plrnn) -> Result<Network> {
        let n = plrnn.a.nrows();
        let readout = match self.array("C")? {
            Some(readout) => self.matrix("C", readout, [0, n])?,
            None => Mat::identity(n, n),
        };
        let mut network = plrnn.network(&readout);
        let outputs = readout.nrows();
        network.output_bias = self.vector("c", outputs)?.unwrap_or(vec![0.0; outputs]);
        if let Some(z) = self.vector("initial", n)? {
            network.initial = plrnn.state(&z);
        }
        self.name_inputs(&mut network);
        Ok(network)
    }
}

fn column(values: Vec<f64>) -> Mat<f64> {
    Mat::from_fn(values.len(), 1, |i, _| values[i])
}
