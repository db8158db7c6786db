use std::ops::Range;

use crate::Tensor;

/// The bytes of a storage, relative to its start, that a tensor views: from the first element to
/// the last. Empty for a tensor without elements.
pub(crate) fn span(tensor: &Tensor) -> Range<usize> {
    // The tensor was checked to be within its storage.
    match tensor.end().unwrap_or(0) {
        0 => 0..0,
        end => tensor.offset * (tensor.dtype.bits() / 8)..end,
    }
}

/// The same for a run of elements, in C order, with at least one element.
///
/// The run's rows are read whole, from the lowest element to the highest.
pub(crate) fn span_of(tensor: &Tensor, first: usize, count: usize) -> Range<usize> {
    let element = tensor.dtype.bits() / 8;
    let Some(row) = tensor.shape.last().copied().filter(|it| *it > 0 && count > 0) else {
        return span(tensor);
    };
    let (mut low, mut high) = (usize::MAX, 0);
    for row_number in first / row..=(first + count - 1) / row {
        let start = row_start(tensor, row_number);
        low = low.min(start);
        high = high.max(start + (row - 1) * tensor.strides.last().copied().unwrap_or(0));
    }
    low * element..(high + 1) * element
}

/// Puts elements of a strided view into C order, from number `first` on. `from` is the run's
/// [`span_of`].
pub(crate) fn gather(tensor: &Tensor, first: usize, from: &[u8], to: &mut [u8]) {
    match tensor.dtype.bits() / 8 {
        1 => gather_elements::<1>(tensor, first, from, to),
        2 => gather_elements::<2>(tensor, first, from, to),
        4 => gather_elements::<4>(tensor, first, from, to),
        8 => gather_elements::<8>(tensor, first, from, to),
        size => unreachable!("no storage has elements of {size} bytes"),
    }
}

fn gather_elements<const N: usize>(tensor: &Tensor, first: usize, from: &[u8], to: &mut [u8]) {
    let (from, _) = from.as_chunks::<N>();
    let (to, _) = to.as_chunks_mut::<N>();
    let (Some(&row), Some(&stride)) = (tensor.shape.last(), tensor.strides.last()) else {
        to.copy_from_slice(from);
        return;
    };
    if to.is_empty() {
        return;
    }
    let low = span_of(tensor, first, to.len()).start / N;
    let (mut number, mut column, mut to) = (first / row, first % row, to);
    while !to.is_empty() {
        let start = row_start(tensor, number) - low;
        let (now, rest) = to.split_at_mut(to.len().min(row - column));
        for (i, element) in now.iter_mut().enumerate() {
            *element = from[start + (column + i) * stride];
        }
        (number, column, to) = (number + 1, 0, rest);
    }
}

/// Position in the storage, in elements, of the first element of a row: of a run along the last
/// dimension.
fn row_start(tensor: &Tensor, mut number: usize) -> usize {
    let outer = tensor.shape.len() - 1;
    let mut start = tensor.offset;
    for (&dim, &stride) in tensor.shape[..outer].iter().zip(&tensor.strides[..outer]).rev() {
        start += number % dim * stride;
        number /= dim;
    }
    start
}
