mod archives;
mod fixtures;
mod hostile;
mod mutations;
mod naming;
mod strided;
mod write;
