use std::collections::HashMap;

use crate::{
    FormatError,
    global::Global,
    object::{FALSE, Heap, Id, NONE, Object, TRUE},
    opcode::*,
    rebuild::{self, Storages},
};

/// Runs the pickle at the start of `bytes`. Gives the heap, the root object, and the length.
pub(crate) fn run(bytes: &[u8], storages: &mut Storages) -> Result<(Heap, Id, usize), FormatError> {
    let heap = Heap::new(bytes.len());
    let (stack, marks) = (Vec::new(), Vec::new());
    let mut machine =
        Machine { bytes, at: 0, start: 0, stack, marks, memo: HashMap::new(), heap, storages };
    if machine.u8()? != PROTO {
        return Err(FormatError::NotAPickle);
    }
    let protocol = machine.u8()?;
    if !(2..=5).contains(&protocol) {
        return Err(FormatError::Protocol(protocol));
    }
    while machine.step()? {}
    let root = machine.pop()?;
    if !machine.stack.is_empty() || !machine.marks.is_empty() {
        return Err(machine.problem("something is left on the stack"));
    }
    Ok((machine.heap, root, machine.at))
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where the current instruction starts.
    start: usize,
    stack: Vec<Id>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<usize, Id>,
    heap: Heap,
    storages: &'a mut Storages,
}

impl<'a> Machine<'a> {
    /// Runs one instruction. `false` after the last one.
    fn step(&mut self) -> Result<bool, FormatError> {
        self.start = self.at;
        match self.u8()? {
            STOP => return Ok(false),
            FRAME => {
                self.take(8)?;
            }
            MARK => {
                if self.marks.len() >= MAX_MARKS {
                    return Err(FormatError::Budget("number of marks"));
                }
                self.marks.push(self.stack.len());
            }
            POP => {
                self.pop()?;
            }
            POP_MARK => {
                self.pop_mark()?;
            }
            NULL => self.put(NONE)?,
            NEWTRUE => self.put(TRUE)?,
            NEWFALSE => self.put(FALSE)?,
            BININT => {
                let int = i32::from_le_bytes(self.array()?);
                self.push(Object::Int(int.into()))?;
            }
            BININT1 => {
                let int = self.u8()?;
                self.push(Object::Int(int.into()))?;
            }
            BININT2 => {
                let int = u16::from_le_bytes(self.array()?);
                self.push(Object::Int(int.into()))?;
            }
            LONG1 => {
                let len = self.u8()?.into();
                self.long(len)?;
            }
            LONG4 => {
                let len = self.u32()?;
                self.long(len)?;
            }
            BINFLOAT => {
                let float = f64::from_be_bytes(self.array()?);
                self.push(Object::Float(float))?;
            }
            SHORT_BINUNICODE | SHORT_BINSTRING => {
                let len = self.u8()?.into();
                self.text(len)?;
            }
            BINUNICODE | BINSTRING => {
                let len = self.u32()?;
                self.text(len)?;
            }
            BINUNICODE8 => {
                let len = self.u64()?;
                self.text(len)?;
            }
            SHORT_BINBYTES => {
                let len = self.u8()?.into();
                self.data(len)?;
            }
            BINBYTES => {
                let len = self.u32()?;
                self.data(len)?;
            }
            BINBYTES8 | BYTEARRAY8 => {
                let len = self.u64()?;
                self.data(len)?;
            }
            opcode => self.step_with_objects(opcode)?,
        }
        Ok(true)
    }

    fn step_with_objects(&mut self, opcode: u8) -> Result<(), FormatError> {
        match opcode {
            EMPTY_LIST => self.push(Object::List(Vec::new())),
            EMPTY_TUPLE => self.push(Object::Tuple(Vec::new())),
            EMPTY_DICT => self.push(Object::Dict(Vec::new())),
            EMPTY_SET => self.push(Object::Set(Vec::new())),
            LIST => {
                let items = self.pop_mark()?;
                self.push(Object::List(items))
            }
            TUPLE => {
                let items = self.pop_mark()?;
                self.push(Object::Tuple(items))
            }
            FROZENSET => {
                let items = self.pop_mark()?;
                self.push(Object::Set(items))
            }
            DICT => {
                let entries = self.pop_pairs()?;
                self.push(Object::Dict(entries))
            }
            TUPLE1 | TUPLE2 | TUPLE3 => {
                let mut items = Vec::new();
                for _ in TUPLE1..=opcode {
                    items.insert(0, self.pop()?);
                }
                self.push(Object::Tuple(items))
            }
            APPEND => {
                let item = self.pop()?;
                self.extend_list(vec![item])
            }
            APPENDS => {
                let items = self.pop_mark()?;
                self.extend_list(items)
            }
            ADDITEMS => {
                let items = self.pop_mark()?;
                match self.top()? {
                    Object::Set(set) => set.extend(&items),
                    _ => return Err(self.problem("elements for something that is not a set")),
                }
                self.heap.take(items.len() * size_of::<Id>())
            }
            SETITEM => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.extend_dict(vec![(key, value)])
            }
            SETITEMS => {
                let entries = self.pop_pairs()?;
                self.extend_dict(entries)
            }
            BINGET => {
                let key = self.u8()?.into();
                self.recall(key)
            }
            LONG_BINGET => {
                let key = self.u32()?;
                self.recall(key)
            }
            BINPUT => {
                let key = self.u8()?.into();
                self.memorize(key)
            }
            LONG_BINPUT => {
                let key = self.u32()?;
                self.memorize(key)
            }
            MEMOIZE => self.memorize(self.memo.len()),
            GLOBAL => {
                let module = self.line()?;
                let name = self.line()?;
                let global = Global::find(&module, &name)?;
                self.push(Object::Global(global))
            }
            STACK_GLOBAL => {
                let name = self.pop()?;
                let module = self.pop()?;
                let (Object::Str(module), Object::Str(name)) =
                    (self.heap.get(module), self.heap.get(name))
                else {
                    return Err(self.problem("a global's name is not a string"));
                };
                let global = Global::find(module, name)?;
                self.push(Object::Global(global))
            }
            REDUCE | NEWOBJ => {
                let arguments = self.pop()?;
                let function = self.pop()?;
                let made = rebuild::reduce(&mut self.heap, self.storages, function, arguments);
                self.put(made.map_err(|e| e.at(self.start))?)
            }
            BUILD => {
                let state = self.pop()?;
                let object = self.last()?;
                rebuild::build(&mut self.heap, object, state).map_err(|e| e.at(self.start))
            }
            BINPERSID => {
                let id = self.pop()?;
                let made = rebuild::storage(&mut self.heap, self.storages, id);
                self.put(made.map_err(|e| e.at(self.start))?)
            }
            byte => Err(match refused_name(byte) {
                Some(name) => FormatError::Opcode { name, at: self.start },
                None => FormatError::UnknownOpcode { byte, at: self.start },
            }),
        }
    }

    fn push(&mut self, object: Object) -> Result<(), FormatError> {
        let id = self.heap.add(object)?;
        self.put(id)
    }

    fn put(&mut self, object: Id) -> Result<(), FormatError> {
        if self.stack.len() >= MAX_STACK {
            return Err(FormatError::Budget("height of the stack"));
        }
        self.stack.push(object);
        Ok(())
    }

    fn long(&mut self, len: usize) -> Result<(), FormatError> {
        let bytes = self.take(len)?;
        let negative = bytes.last().is_some_and(|it| *it >= 0x80);
        let object = if bytes.len() <= 8 {
            let mut wide = [if negative { 0xff } else { 0 }; 8];
            wide[..bytes.len()].copy_from_slice(bytes);
            Object::Int(i64::from_le_bytes(wide))
        } else {
            Object::Long(bytes.to_vec())
        };
        self.push(object)
    }

    fn text(&mut self, len: usize) -> Result<(), FormatError> {
        let bytes = self.take(len)?;
        let text = str::from_utf8(bytes).map_err(|_| self.problem("a string is not UTF-8"))?;
        self.push(Object::Str(text.to_owned()))
    }

    fn data(&mut self, len: usize) -> Result<(), FormatError> {
        let bytes = self.take(len)?;
        self.push(Object::Bytes(bytes.to_vec()))
    }

    fn extend_list(&mut self, items: Vec<Id>) -> Result<(), FormatError> {
        match self.top()? {
            Object::List(list) => list.extend(&items),
            _ => return Err(self.problem("elements for something that is not a list")),
        }
        self.heap.take(items.len() * size_of::<Id>())
    }

    fn extend_dict(&mut self, entries: Vec<(Id, Id)>) -> Result<(), FormatError> {
        match self.top()? {
            Object::Dict(dict) => dict.extend(&entries),
            _ => return Err(self.problem("entries for something that is not a dictionary")),
        }
        self.heap.take(entries.len() * size_of::<(Id, Id)>())
    }

    fn memorize(&mut self, key: usize) -> Result<(), FormatError> {
        let object = self.last()?;
        if self.memo.insert(key, object).is_none() {
            if self.memo.len() > MAX_MEMO {
                return Err(FormatError::Budget("number of memo entries"));
            }
            self.heap.take(MEMO_ENTRY)?;
        }
        Ok(())
    }

    fn recall(&mut self, key: usize) -> Result<(), FormatError> {
        let object = self.memo.get(&key).copied();
        self.put(object.ok_or_else(|| self.problem("nothing is remembered under this key"))?)
    }

    fn top(&mut self) -> Result<&mut Object, FormatError> {
        let object = self.last()?;
        Ok(self.heap.get_mut(object))
    }

    fn last(&self) -> Result<Id, FormatError> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let above = self.stack.get(floor..).and_then(<[Id]>::last);
        above.copied().ok_or_else(|| self.problem("the stack is empty"))
    }

    fn pop(&mut self) -> Result<Id, FormatError> {
        let object = self.last()?;
        self.stack.pop();
        Ok(object)
    }

    fn pop_mark(&mut self) -> Result<Vec<Id>, FormatError> {
        let mark = self.marks.pop().ok_or_else(|| self.problem("there is no mark"))?;
        Ok(self.stack.split_off(mark))
    }

    fn pop_pairs(&mut self) -> Result<Vec<(Id, Id)>, FormatError> {
        let items = self.pop_mark()?;
        match items.as_chunks() {
            (pairs, []) => Ok(pairs.iter().map(|&[key, value]| (key, value)).collect()),
            _ => Err(self.problem("a key has no value")),
        }
    }

    fn line(&mut self) -> Result<String, FormatError> {
        let rest = &self.bytes[self.at..];
        let len = rest.iter().take(MAX_LINE).position(|it| *it == b'\n');
        let len = len.ok_or_else(|| self.problem("a global's name does not end"))?;
        let line = self.take(len)?;
        self.take(1)?;
        let line = str::from_utf8(line).map_err(|_| self.problem("a string is not UTF-8"))?;
        Ok(line.to_owned())
    }

    fn u8(&mut self) -> Result<u8, FormatError> {
        Ok(self.array::<1>()?[0])
    }

    fn u32(&mut self) -> Result<usize, FormatError> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }

    fn u64(&mut self) -> Result<usize, FormatError> {
        let len = u64::from_le_bytes(self.array()?);
        usize::try_from(len).map_err(|_| FormatError::Truncated { at: self.bytes.len() })
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// The next bytes. Nothing is allocated for a length before the bytes are known to be there.
    fn take(&mut self, len: usize) -> Result<&'a [u8], FormatError> {
        let end = self.at.checked_add(len);
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or(FormatError::Truncated { at: self.bytes.len() })?;
        self.at += len;
        Ok(taken)
    }

    fn problem(&self, problem: &'static str) -> FormatError {
        FormatError::Instruction { at: self.start, problem }
    }
}

/// No module or class has a longer name.
const MAX_LINE: usize = 1024;
/// Marks that wait for their end are as deep as what is nested.
const MAX_MARKS: usize = 1024;
/// Elements that wait to be put into a list: Python does that by the thousand.
const MAX_STACK: usize = 1 << 20;
/// As many as there may be objects.
const MAX_MEMO: usize = 8 << 20;
/// Bytes that an entry takes, with the room that a table keeps free.
const MEMO_ENTRY: usize = 34;
