//! Views are read element by element as PyTorch would, and no more than once.

use pretrained_safetensors::Dtype;
use proptest::{collection::vec, prelude::*};

use crate::{Tensor, source::Source, strided::gather};

/// Every element's position in the storage, in C order.
fn positions(tensor: &Tensor) -> Vec<usize> {
    let mut found = vec![tensor.offset];
    for (&len, &stride) in tensor.shape.iter().zip(&tensor.strides) {
        found = found.iter().flat_map(|it| (0..len).map(move |i| it + i * stride)).collect();
    }
    found
}

/// Reads a tensor in pieces; gives the number of bytes that this took.
#[track_caller]
fn check(tensor: &Tensor, piece: usize) -> usize {
    let element = tensor.dtype.bits() / 8;
    let positions = positions(tensor);
    let end = positions.iter().max().map_or(0, |it| (it + 1) * element);
    let before = 3;
    let bytes: Vec<u8> =
        (0..before + end).map(|i| (i.wrapping_mul(0x9e37_79b9) >> 7) as u8).collect();
    let expected = positions.iter().flat_map(|it| &bytes[before + it * element..][..element]);
    let expected: Vec<u8> = expected.copied().collect();
    let source = Source::Bytes(bytes);
    let mut found = vec![0; expected.len()];
    let mut read = 0;
    for (i, part) in found.chunks_mut(piece * element).enumerate() {
        read += gather(&source, before as u64, tensor, i * piece, part).expect("within");
    }
    assert!(found == expected, "{tensor:?} in pieces of {piece}");
    read
}

fn view(dtype: Dtype, shape: &[usize], strides: &[usize]) -> Tensor {
    let (shape, strides) = (shape.to_vec(), strides.to_vec());
    Tensor { storage: 0, dtype, shape, strides, offset: 1 }
}

#[test]
fn a_transposed_matrix_is_read_once_in_however_many_pieces() {
    // Runs of a piece are far apart (1,000 columns of four bytes), or close (100).
    for (rows, columns) in [(500, 1000), (5_000, 100)] {
        let tensor = view(Dtype::F32, &[columns, rows], &[1, columns]);
        let whole = columns * rows * 4;
        for piece in [25_000, 31_457] {
            let read = check(&tensor, piece);
            // Where rows are close, what is between their parts is read as well: a KiB at most.
            let runs = (columns * rows).div_ceil(piece) * (rows + 2);
            let most = if columns * 4 > 1024 { whole } else { whole + runs * 1024 };
            assert!(read <= most, "{read} bytes for {whole}");
        }
        assert_eq!(check(&tensor, columns * rows), whole);
    }
}

#[test]
fn every_way_to_view() {
    for dtype in [Dtype::U8, Dtype::BF16, Dtype::F32, Dtype::F64] {
        for (shape, strides) in [
            (&[][..], &[][..]),
            (&[5], &[1]),
            (&[5], &[3]),
            (&[5], &[0]),
            (&[4, 5], &[0, 1]),
            (&[4, 5], &[1, 0]),
            (&[4, 5], &[1, 4]),
            (&[4, 5], &[1, 1]),
            (&[3, 4, 5], &[5, 15, 1]),
            (&[3, 4, 5], &[1, 3, 12]),
            (&[3, 1, 5], &[7, 100, 1]),
            (&[2, 3, 2, 3], &[1, 2, 6, 12]),
            (&[3, 0, 2], &[1, 1, 1]),
            (&[70, 90], &[1, 3000]),
        ] {
            for piece in [1, 7, 64] {
                check(&view(dtype, shape, strides), piece);
            }
        }
    }
}

proptest! {
    #[test]
    fn any_view(
        dims in vec((1..7usize, prop_oneof![0..5usize, 0..400usize]), 0..5),
        piece in 1..40usize,
    ) {
        let (shape, strides): (Vec<_>, Vec<_>) = dims.into_iter().unzip();
        check(&view(Dtype::I16, &shape, &strides), piece);
    }
}
