@ Dense products for the Cortex-M3: MLA on rates of 32 bits. r0: panels, r1: Job (kernel/mod.rs).
@
@ r0 weights, r1 rates, r2-r5 sums of four rows, r6-r9 rates, r10-r12 and lr weights.
@ Stack: 0 rates, 4 their end, 8 out, 12 its end, 16 start, 20 left, 24 right, 28 entry into the loop.
@ The loop holds two blocks of four columns; the entry skips the first when their count is odd.
    .syntax unified
    .thumb

.macro fixed_open name, size
    .section .text.\name, "ax", %progbits
    .balign 4
    .global \name
    .type \name, %function
    .thumb_func
\name:
    push {r4-r11, lr}
    ldmia r1, {r2-r8}
    sub r9, r2, r3
    ubfx r9, r9, #4, #1
    mov r10, #\size
    mul r9, r9, r10
    adr.w r10, .L\name\()_loop
    add r9, r9, r10
    add r9, r9, #1
    push {r2-r9}
.endm

.macro fixed_next name
    ldmia.w r0!, {r6-r9}
    add r2, r2, r6
    add r3, r3, r7
    add r4, r4, r8
    add r5, r5, r9
    ldrd r6, r7, [sp, #8]
    stmia.w r6!, {r2-r5}
    str r6, [sp, #8]
    cmp r6, r7
    bne.w .L\name\()_panel
    add sp, sp, #32
    pop {r4-r11, pc}
    .size \name, . - \name
.endm

.macro fixed_kernel name, block, size
    fixed_open \name, \size
.L\name\()_panel:
    ldr r1, [sp]
    ldr r2, [sp, #16]
    mov r3, r2
    mov r4, r2
    mov r5, r2
    ldr pc, [sp, #28]
    .balign 4
.L\name\()_loop:
    \block
    \block
    ldr r6, [sp, #4]
    cmp r1, r6
    bne.w .L\name\()_loop
    .ifc \name, tinyfold_fixed_i8
    ldrd r6, r7, [sp, #20]
    .irp sum, r2, r3, r4, r5
    lsl.w \sum, \sum, r6
    asr.w \sum, \sum, r7
    .endr
    .endif
    ldmia.w r0!, {r6-r9}
    smull r10, r2, r2, r6
    smull r10, r3, r3, r7
    smull r10, r4, r4, r8
    smull r10, r5, r5, r9
    fixed_next \name
.endm

.macro fixed_column x
    mla r2, r10, \x, r2
    mla r3, r11, \x, r3
    mla r4, r12, \x, r4
    mla r5, lr, \x, r5
.endm

@ i16 weights: a word is two columns of a row.
.macro fixed_i16_column at, x
    ldrsh.w r10, [r0, #\at]
    ldrsh.w r11, [r0, #\at + 4]
    ldrsh.w r12, [r0, #\at + 8]
    ldrsh.w lr, [r0, #\at + 12]
    fixed_column \x
.endm
.macro fixed_i16_block
    ldmia.w r1!, {r6-r9}
    fixed_i16_column 18, r9
    fixed_i16_column 16, r8
    fixed_i16_column 2, r7
    ldrsh.w lr, [r0, #12]
    ldrsh.w r12, [r0, #8]
    ldrsh.w r11, [r0, #4]
    ldrsh r10, [r0], #32
    fixed_column r6
.endm
    fixed_kernel tinyfold_fixed_i16, fixed_i16_block, 132

@ i8 weights: a word is columns 0, 2, 1, 3 of a row from its low byte on; 0 and 1 are stored plus 128.
.macro fixed_i8_column load, at, x
    \load r10, [r0, #\at]
    \load r11, [r0, #\at + 4]
    \load r12, [r0, #\at + 8]
    \load lr, [r0, #\at + 12]
    fixed_column \x
.endm
.macro fixed_i8_block
    ldmia.w r1!, {r6-r9}
    fixed_i8_column ldrsb.w, 3, r9
    fixed_i8_column ldrsb.w, 1, r8
    fixed_i8_column ldrb.w, 2, r7
    ldrb.w lr, [r0, #12]
    ldrb.w r12, [r0, #8]
    ldrb.w r11, [r0, #4]
    ldrb r10, [r0], #16
    fixed_column r6
.endm
    fixed_kernel tinyfold_fixed_i8, fixed_i8_block, 132

@ i16 weights, sums of 64 bits in r2:r3, r4:r5, r6:r7, r8:r9; weights in r10-r11, rates in r12.
.macro fixed_wide_column at
    ldr.w r12, [r1], #4
    ldrsh.w r10, [r0, #\at]
    ldrsh.w r11, [r0, #\at + 4]
    smlal r2, r3, r10, r12
    smlal r4, r5, r11, r12
    ldrsh.w r10, [r0, #\at + 8]
    ldrsh.w r11, [r0, #\at + 12]
    smlal r6, r7, r10, r12
    smlal r8, r9, r11, r12
.endm
.macro fixed_i16_wide_block
    fixed_wide_column 0
    fixed_wide_column 2
    fixed_wide_column 16
    fixed_wide_column 18
    add.w r0, r0, #32
.endm
    fixed_open tinyfold_fixed_i16_wide, 148
.Ltinyfold_fixed_i16_wide_panel:
    ldr r1, [sp]
    .irp sum, r2, r3, r4, r5, r6, r7, r8, r9
    mov.w \sum, #0
    .endr
    ldr pc, [sp, #28]
    .balign 4
.Ltinyfold_fixed_i16_wide_loop:
    fixed_i16_wide_block
    fixed_i16_wide_block
    ldr r10, [sp, #4]
    cmp r1, r10
    bne.w .Ltinyfold_fixed_i16_wide_loop
    ldr r1, [sp, #24]
    rsb r12, r1, #32
.macro fixed_shift to, low, high
    lsr.w \low, \low, r1
    lsl.w \high, \high, r12
    orr.w \to, \low, \high
.endm
    fixed_shift r2, r2, r3
    fixed_shift r3, r4, r5
    fixed_shift r4, r6, r7
    fixed_shift r5, r8, r9
    ldmia.w r0!, {r6-r9}
    smull r10, r2, r2, r6
    smull r10, r3, r3, r7
    smull r10, r4, r4, r8
    smull r10, r5, r5, r9
    fixed_next tinyfold_fixed_i16_wide

    .purgem fixed_open
    .purgem fixed_next
    .purgem fixed_kernel
    .purgem fixed_column
    .purgem fixed_i16_column
    .purgem fixed_i16_block
    .purgem fixed_i8_column
    .purgem fixed_i8_block
    .purgem fixed_wide_column
    .purgem fixed_i16_wide_block
    .purgem fixed_shift
    .text
