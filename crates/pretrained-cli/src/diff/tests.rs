use pretrained::safetensors::Dtype;

use super::*;

fn change(of: (Dtype, Dtype), differing: u64, as_a: Option<u64>, as_b: Option<u64>) -> DtypeChange {
    DtypeChange {
        tensor: TensorSpec { name: "model.norm.weight".to_owned(), dtype: of.0, shape: vec![4] },
        dtype_b: of.1,
        elements: 4,
        differing,
        not_numbers: 0,
        max_abs: Some(0.001_234),
        mean_abs: Some(0.000_123_4),
        differing_as_a: as_a,
        differing_as_b: as_b,
    }
}

fn of_dtypes(dtypes: Vec<DtypeChange>) -> Difference {
    Difference {
        a: "a".into(),
        b: "b".into(),
        are_models: false,
        configs: Vec::new(),
        tokenizer_files: Vec::new(),
        only_a: Vec::new(),
        only_b: Vec::new(),
        mismatched: Vec::new(),
        dtypes,
        values: Vec::new(),
        same: 1,
        warnings_a: Vec::new(),
        warnings_b: Vec::new(),
    }
}

#[test]
fn values_that_cannot_be_converted_are_not_called_others() {
    let (whole, half) = ((Dtype::I64, Dtype::F32), (Dtype::F32, Dtype::BF16));
    let changes = [
        (change(whole, 3, None, None), "not converted"),
        (change(whole, 0, None, None), "equal"),
        (change(half, 3, Some(3), Some(0)), "equal as BF16"),
        (change(half, 3, Some(0), None), "equal as F32"),
        (change(half, 3, Some(2), Some(1)), "other"),
        (change((Dtype::F32, Dtype::F8_E4M3), 3, Some(3), None), "not converted"),
    ];
    for (change, expected) in &changes {
        assert_eq!(equality(change), *expected, "{change:?}");
    }
    assert_eq!(
        summary(&of_dtypes(changes.map(|it| it.0).into()), None),
        "tensors: 1 the same, 1 of another dtype with equal values, 2 of another dtype with values equal after \
         conversion, 1 of another dtype with other values, 2 of another dtype with values that are not converted\n"
    );
}

#[test]
fn a_table_of_dtypes_fits_narrow_terminals() {
    let found = of_dtypes(vec![change((Dtype::F32, Dtype::BF16), 3, Some(3), Some(0))]);
    for width in 32..=100 {
        let table = dtypes(&found, Some(width)).to_string();
        assert!(table.lines().all(|it| it.chars().count() <= width), "{width}: {table}");
        assert!(table.contains("equal as BF16"), "{width}: {table}");
    }
}

#[test]
fn a_warning_names_a_file_once() {
    let warning = Warning::Wrapped { file: "nest.pt".to_owned(), wrapper: "model".to_owned() };
    let said = ": all tensors are in the entry `model`, which is left out of their names";
    let check = |path: &str, expected: &str| {
        assert_eq!(warned(Path::new(path), &warning), format!("warning: {expected}{said}"));
    };
    check("nest.pt", "nest.pt");
    check("/models/nest.pt", "/models/nest.pt");
    check("/models/nest", "/models/nest: nest.pt");
}
