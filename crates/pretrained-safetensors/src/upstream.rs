//! Our types pass into and out of the `safetensors` crate's.

use std::borrow::Cow;

use crate::{Dtype, TensorView};

impl From<Dtype> for safetensors::Dtype {
    fn from(dtype: Dtype) -> safetensors::Dtype {
        match dtype {
            Dtype::BOOL => safetensors::Dtype::BOOL,
            Dtype::F4 => safetensors::Dtype::F4,
            Dtype::F6_E2M3 => safetensors::Dtype::F6_E2M3,
            Dtype::F6_E3M2 => safetensors::Dtype::F6_E3M2,
            Dtype::U8 => safetensors::Dtype::U8,
            Dtype::I8 => safetensors::Dtype::I8,
            Dtype::F8_E5M2 => safetensors::Dtype::F8_E5M2,
            Dtype::F8_E4M3 => safetensors::Dtype::F8_E4M3,
            Dtype::F8_E8M0 => safetensors::Dtype::F8_E8M0,
            Dtype::F8_E4M3FNUZ => safetensors::Dtype::F8_E4M3FNUZ,
            Dtype::F8_E5M2FNUZ => safetensors::Dtype::F8_E5M2FNUZ,
            Dtype::I16 => safetensors::Dtype::I16,
            Dtype::U16 => safetensors::Dtype::U16,
            Dtype::F16 => safetensors::Dtype::F16,
            Dtype::BF16 => safetensors::Dtype::BF16,
            Dtype::I32 => safetensors::Dtype::I32,
            Dtype::U32 => safetensors::Dtype::U32,
            Dtype::F32 => safetensors::Dtype::F32,
            Dtype::C64 => safetensors::Dtype::C64,
            Dtype::F64 => safetensors::Dtype::F64,
            Dtype::I64 => safetensors::Dtype::I64,
            Dtype::U64 => safetensors::Dtype::U64,
        }
    }
}

impl TryFrom<safetensors::Dtype> for Dtype {
    type Error = UnknownDtype;

    fn try_from(dtype: safetensors::Dtype) -> Result<Dtype, UnknownDtype> {
        let found = Dtype::ALL.into_iter().find(|&it| safetensors::Dtype::from(it) == dtype);
        found.ok_or(UnknownDtype(dtype))
    }
}

/// A dtype that the `safetensors` crate has learned, and this one has not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("dtype {0} is not known here")]
pub struct UnknownDtype(pub safetensors::Dtype);

impl safetensors::View for TensorView<'_> {
    fn dtype(&self) -> safetensors::Dtype {
        self.dtype.into()
    }

    fn shape(&self) -> &[usize] {
        self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(self.data)
    }

    fn data_len(&self) -> usize {
        self.data.len()
    }
}

impl<'a> From<TensorView<'a>> for safetensors::tensor::TensorView<'a> {
    fn from(view: TensorView<'a>) -> safetensors::tensor::TensorView<'a> {
        safetensors::tensor::TensorView::new(view.dtype.into(), view.shape.to_vec(), view.data)
            .expect("a view has the length that its dtype and shape ask for")
    }
}

impl<'a> TryFrom<&'a safetensors::tensor::TensorView<'_>> for TensorView<'a> {
    type Error = UnknownDtype;

    fn try_from(
        view: &'a safetensors::tensor::TensorView<'_>,
    ) -> Result<TensorView<'a>, UnknownDtype> {
        let dtype = view.dtype().try_into()?;
        Ok(TensorView { dtype, shape: view.shape(), data: view.data() })
    }
}
