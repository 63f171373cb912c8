//! What each format looks like, against the shape that its own documentation gives.
