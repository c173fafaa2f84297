//! `tinyfold dynamics ssm`.
