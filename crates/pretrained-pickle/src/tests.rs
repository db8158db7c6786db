mod fixtures;
mod write;
