//! Lengths of instructions, and which of them may be moved. (All of libc, busybox and python were compared with objdump once.)

use fated_engine::sensitive::length::{Instruction, decode};

/// Each is an instruction, whether it may be moved, and its bytes.
const KNOWN: [(&str, bool, &[u8]); 42] = [
    ("mov $0x6e,%eax", true, &[0xb8, 0x6e, 0, 0, 0]),
    ("mov $15,%rax", true, &[0x48, 0xc7, 0xc0, 15, 0, 0, 0]),
    ("mov 8(%rsp),%r9", true, &[0x4c, 0x8b, 0x4c, 0x24, 8]),
    ("mov 8(%r12),%r9", false, &[0x4d, 0x8b, 0x4c, 0x24, 8]),
    ("mov 8(%rsp,%r12),%rax", false, &[0x4a, 0x8b, 0x44, 0x24, 8]),
    ("cmp $-4095,%rax", true, &[0x48, 0x3d, 1, 0xf0, 0xff, 0xff]),
    ("cmp $-4096,%eax", true, &[0x3d, 0, 0xf0, 0xff, 0xff]),
    ("movabs $1,%r11", true, &[0x49, 0xbb, 1, 0, 0, 0, 0, 0, 0, 0]),
    ("mov $1,%ax", true, &[0x66, 0xb8, 1, 0]),
    ("lea 0x10(%rbx),%rdi", true, &[0x48, 0x8d, 0x7b, 0x10]),
    ("lea 1(%rip),%rsi", false, &[0x48, 0x8d, 0x35, 1, 0, 0, 0]),
    ("mov 1(%rip),%eax", false, &[0x8b, 5, 1, 0, 0, 0]),
    ("mov $1,1(%rip)", false, &[0xc7, 5, 1, 0, 0, 0, 1, 0, 0, 0]),
    ("divl 1(%rip)", false, &[0xf7, 0x35, 1, 0, 0, 0]),
    ("mov (%rax),%eax", false, &[0x8b, 0]),
    ("mov 1(,%rax,8),%eax", false, &[0x8b, 4, 0xc5, 1, 0, 0, 0]),
    ("mov 0x100(%rsp),%eax", true, &[0x8b, 0x84, 0x24, 0, 1, 0, 0]),
    ("movl $1,-0x48(%rbp)", false, &[0xc7, 0x45, 0xb8, 1, 0, 0, 0]),
    ("test $1,%al", true, &[0xf6, 0xc0, 1]),
    ("testq $1,%rdi", true, &[0x48, 0xf7, 0xc7, 1, 0, 0, 0]),
    ("div %rcx", false, &[0x48, 0xf7, 0xf1]),
    ("push $1", true, &[0x68, 1, 0, 0, 0]),
    ("add $16,%rsp", true, &[0x48, 0x83, 0xc4, 16]),
    ("imul $5,%eax,%eax", true, &[0x69, 0xc0, 5, 0, 0, 0]),
    ("mov %fs:0x28,%rax", false, &[0x64, 0x48, 0x8b, 4, 0x25, 0x28, 0, 0, 0]),
    ("jne", false, &[0x75, 1]),
    ("jae far", false, &[0x0f, 0x83, 1, 0, 0, 0]),
    ("call", false, &[0xe8, 1, 0, 0, 0]),
    ("call *%rax", false, &[0xff, 0xd0]),
    ("jmp *8(%rip)", false, &[0xff, 0x25, 8, 0, 0, 0]),
    ("ret", false, &[0xc3]),
    ("syscall", false, &[0x0f, 5]),
    ("endbr64", false, &[0xf3, 0x0f, 0x1e, 0xfa]),
    ("nopw 0(%rax,%rax)", false, &[0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0]),
    ("movups %xmm0,0x2d8(%rbx)", false, &[0x0f, 0x11, 0x83, 0xd8, 2, 0, 0]),
    ("pshufd $0,%xmm0,%xmm0", false, &[0x66, 0x0f, 0x70, 0xc0, 0]),
    ("pshufb %xmm1,%xmm0", false, &[0x66, 0x0f, 0x38, 0, 0xc1]),
    ("palignr $1,%xmm1,%xmm0", false, &[0x66, 0x0f, 0x3a, 0x0f, 0xc1, 1]),
    ("vzeroupper", false, &[0xc5, 0xf8, 0x77]),
    ("vmovdqu (%rsi),%ymm0", false, &[0xc5, 0xfe, 0x6f, 6]),
    ("vpternlogd $255,%zmm0,%zmm0,%zmm0", false, &[0x62, 0xf3, 0x7d, 0x48, 0x25, 0xc0, 0xff]),
    ("vpbroadcastb %eax,%ymm0", false, &[0x62, 0xf2, 0x7d, 0x28, 0x7a, 0xc0]),
];

/// Which of them may be moved if a distance is corrected, and where it is.
const RELATIVE: [(&str, usize); 3] = [("lea 1(%rip),%rsi", 3), ("mov 1(%rip),%eax", 2), ("mov $1,1(%rip)", 2)];

#[test]
fn known_instructions_have_their_length() {
    for (text, moves, code) in KNOWN {
        let relative = RELATIVE.iter().find(|(it, _)| *it == text).map(|&(_, at)| at);
        let expected = Instruction { len: code.len(), moves, relative };
        let followed = [code, &[0x90; 15]].concat();
        assert_eq!(decode(&followed), Some(expected), "{text}");
        assert_eq!(decode(code), Some(expected), "{text}, at the end of what can be read");
        assert_eq!(decode(&code[..code.len() - 1]), None, "{text}, cut off");
    }
}

#[test]
fn what_is_invalid_has_no_length() {
    for code in [0x06, 0x0e, 0x1f, 0x27, 0x60, 0x9a, 0xce, 0xd4, 0xea] {
        assert_eq!(decode(&[[code].as_slice(), &[0; 15]].concat()), None, "{code:#x}");
    }
}

/// Whatever the bytes are, there is an answer, and it lies within them.
#[test]
fn anything_can_be_read() {
    let mut state = 1_u64;
    for _ in 0..200_000 {
        let code: [u8; 16] = core::array::from_fn(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        });
        for len in 0..=code.len() {
            let found = decode(&code[..len]);
            assert!(found.is_none_or(|it| (1..=len.min(15)).contains(&it.len)), "{:02x?}: {found:?}", &code[..len]);
        }
    }
}
