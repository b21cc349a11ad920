#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Puts files into the binary: dist/embed.sh ROOT FILE… > embedded.S  (names are kept relative to ROOT).
root=$1; shift
echo '    .section .rodata'
i=0
for file in "$@"; do
    name=${file#"$root"/}
    printf '    .balign 16\nf%d: .incbin "%s"\nf%de: .byte 0\nn%d: .asciz "%s"\n' $i "$file" $i $i "$name"
    i=$((i + 1))
done
printf '    .section .data.rel.ro,"aw"\n    .balign 8\n    .globl embedded_files\nembedded_files:\n'
i=0
for file in "$@"; do
    printf '    .quad n%d, f%d, f%de - f%d\n' $i $i $i $i
    i=$((i + 1))
done
printf '    .quad 0, 0, 0\n    .section .note.GNU-stack,"",%%progbits\n'
