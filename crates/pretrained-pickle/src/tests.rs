mod archives;
mod fixtures;
mod hostile;
mod write;
