//! Bytes, a trust root and the time in; a proof that they were verified, or the reason why not, out.
