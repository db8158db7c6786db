//! Strided views, put into C order.
//!
//! A piece of a view is a few boxes of elements. What of a box lies close together is read at once
//! and sorted in memory; what lies far apart is read run by run. So the work grows with the
//! elements of the piece, whatever the size of the storage, and takes a mebibyte of memory.

use std::{io, ops::Range};

use crate::{Tensor, source::Source};

/// The bytes of a storage, relative to its start, that a tensor views: from the first element to
/// the last. Empty for a tensor without elements.
pub(crate) fn span(tensor: &Tensor) -> Range<usize> {
    // The tensor was checked to be within its storage.
    match tensor.end().unwrap_or(0) {
        0 => 0..0,
        end => tensor.offset * (tensor.dtype.bits() / 8)..end,
    }
}

/// Reads elements of a view, in C order, from number `first` on. `storage` is where the tensor's
/// storage starts; the tensor was checked to be within it. Gives the number of bytes that were read.
pub(crate) fn gather(
    source: &Source,
    storage: u64,
    tensor: &Tensor,
    first: usize,
    to: &mut [u8],
) -> io::Result<usize> {
    let element = tensor.dtype.bits() / 8;
    let mut boxes = Vec::new();
    let range = first..first + to.len() / element;
    split(&tensor.shape, &tensor.strides, tensor.offset, range, 0, &mut boxes);
    let mut gather = Gather { source, storage, element, to, buffer: Vec::new(), read: 0 };
    boxes.into_iter().try_for_each(|it| gather.read(it))?;
    Ok(gather.read)
}

/// One dimension of a box.
#[derive(Debug, Clone, Copy)]
struct Axis {
    len: usize,
    /// Distance of neighbours in the storage, in elements.
    stride: usize,
    /// Distance of neighbours in the result, in elements.
    step: usize,
}

/// Elements that are next to each other in the result.
#[derive(Debug)]
struct Block {
    /// Position of the first element in the storage.
    from: usize,
    /// Position of the first element in the result.
    to: usize,
    axes: Vec<Axis>,
}

/// Splits a run of elements of a view into boxes.
fn split(
    shape: &[usize],
    strides: &[usize],
    from: usize,
    range: Range<usize>,
    to: usize,
    boxes: &mut Vec<Block>,
) {
    if range.is_empty() {
        return;
    }
    let ([_, shape_in @ ..], [stride, strides_in @ ..]) = (shape, strides) else {
        boxes.push(Block { from, to, axes: Vec::new() });
        return;
    };
    let len: usize = shape_in.iter().product();
    let (i, start) = (range.start / len, range.start % len);
    let (j, end) = (range.end / len, range.end % len);
    if i == j {
        return split(shape_in, strides_in, from + i * stride, start..end, to, boxes);
    }
    let whole = if start > 0 { i + 1 } else { i };
    if start > 0 {
        split(shape_in, strides_in, from + i * stride, start..len, to, boxes);
    }
    let to = to + (whole * len - range.start);
    if whole < j {
        let mut axes = vec![Axis { len: j - whole, stride: *stride, step: len }];
        let mut step = len;
        for (&len, &stride) in shape_in.iter().zip(strides_in) {
            step /= len;
            axes.push(Axis { len, stride, step });
        }
        boxes.push(Block { from: from + whole * stride, to, axes });
    }
    if end > 0 {
        split(shape_in, strides_in, from + j * stride, 0..end, to + (j - whole) * len, boxes);
    }
}

struct Gather<'a> {
    source: &'a Source,
    storage: u64,
    /// Bytes of an element.
    element: usize,
    to: &'a mut [u8],
    buffer: Vec<u8>,
    /// Bytes that were read so far.
    read: usize,
}

impl Gather<'_> {
    /// Reads a box.
    fn read(&mut self, block: Block) -> io::Result<()> {
        let Block { from, to, mut axes } = block;
        axes.retain(|it| it.len > 1);
        axes.sort_by_key(|it| it.stride);
        merge(&mut axes);
        // The innermost axes, as many of them as lie close together.
        let most = MAX_READ / self.element;
        let (mut width, mut inner) = (1usize, 0);
        while let Some(axis) = axes.get(inner) {
            let gap = axis.stride.saturating_sub(width).saturating_mul(self.element);
            let fits = (most - width).checked_div(axis.stride).map_or(axis.len, |it| it + 1);
            if gap > MAX_GAP || fits < 2 {
                break;
            }
            if fits < axis.len {
                return self.read_in_parts(from, to, axes, inner, fits);
            }
            width += (axis.len - 1) * axis.stride;
            inner += 1;
        }
        let outer = axes.split_off(inner);
        self.walk(&outer, &axes, width, from, to)
    }

    /// Cuts an axis that is too long to be read at once: into parts of `len`, and a rest.
    fn read_in_parts(
        &mut self,
        from: usize,
        to: usize,
        mut axes: Vec<Axis>,
        cut: usize,
        len: usize,
    ) -> io::Result<()> {
        let axis = axes[cut];
        axes[cut].len = len;
        let (parts, rest) = (axis.len / len, axis.len % len);
        if rest > 0 {
            let mut axes = axes.clone();
            axes[cut].len = rest;
            let (from, to) = (from + parts * len * axis.stride, to + parts * len * axis.step);
            self.read(Block { from, to, axes })?;
        }
        let width = 1 + axes[..=cut].iter().map(|it| (it.len - 1) * it.stride).sum::<usize>();
        let mut outer = axes.split_off(cut + 1);
        outer.insert(0, Axis { len: parts, stride: axis.stride * len, step: axis.step * len });
        self.walk(&outer, &axes, width, from, to)
    }

    /// Reads what is close together, again and again along the other axes.
    fn walk(
        &mut self,
        outer: &[Axis],
        inner: &[Axis],
        width: usize,
        from: usize,
        to: usize,
    ) -> io::Result<()> {
        if let Some((axis, outer)) = outer.split_last() {
            for i in 0..axis.len {
                self.walk(outer, inner, width, from + i * axis.stride, to + i * axis.step)?;
            }
            return Ok(());
        }
        let at = self.storage + (from * self.element) as u64;
        self.read += width * self.element;
        if matches!(inner, [] | [Axis { stride: 1, step: 1, .. }]) {
            let run = &mut self.to[to * self.element..(to + width) * self.element];
            return self.source.read_at(run, at);
        }
        self.buffer.resize(width * self.element, 0);
        self.source.read_at(&mut self.buffer, at)?;
        let to = &mut self.to[to * self.element..];
        match self.element {
            1 => sort::<1>(inner, self.buffer.as_chunks().0, to.as_chunks_mut().0),
            2 => sort::<2>(inner, self.buffer.as_chunks().0, to.as_chunks_mut().0),
            4 => sort::<4>(inner, self.buffer.as_chunks().0, to.as_chunks_mut().0),
            8 => sort::<8>(inner, self.buffer.as_chunks().0, to.as_chunks_mut().0),
            // No storage has others.
            _ => return Err(io::ErrorKind::Unsupported.into()),
        }
        Ok(())
    }
}

/// Takes two axes for one where the one goes on where the other ends.
fn merge(axes: &mut Vec<Axis>) {
    axes.dedup_by(|outer, inner| {
        let goes_on = outer.stride == inner.stride.saturating_mul(inner.len)
            && outer.step == inner.step.saturating_mul(inner.len);
        if goes_on {
            inner.len *= outer.len;
        }
        goes_on
    });
}

/// Puts elements from their places in the storage to those in the result.
fn sort<const N: usize>(axes: &[Axis], from: &[[u8; N]], to: &mut [[u8; N]]) {
    match axes {
        [] => to[0] = from[0],
        [Axis { len, stride: 1, step: 1 }] => to[..*len].copy_from_slice(&from[..*len]),
        [axis] => {
            for i in 0..axis.len {
                to[i * axis.step] = from[i * axis.stride];
            }
        }
        [inner @ .., axis] => {
            for i in 0..axis.len {
                sort(inner, &from[i * axis.stride..], &mut to[i * axis.step..]);
            }
        }
    }
}

/// What is read at once.
const MAX_READ: usize = 1 << 20;
/// Reading this much for nothing is as fast as another system call.
const MAX_GAP: usize = 1024;
