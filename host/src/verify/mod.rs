//! One list of cases, many backends, every word compared.
