@ Dense products for the Cortex-M0: MULS on rates of 32 bits. r0: panels, r1: Job (kernel/mod.rs).
@
@ r0 weights, r1 rates, r2-r7 rates, weights and products, r8-r11 sums of four rows, r12 end of the rates.
@ Stack: 0 right, 4 rates, 8 their end, 12 out, 16 its end, 20 start, 24 left.
    .syntax unified
    .thumb

.macro fixed_kernel name, block
    .section .text.\name, "ax", %progbits
    .balign 4
    .global \name
    .type \name, %function
    .thumb_func
\name:
    push {r4-r7, lr}
    mov r4, r8
    mov r5, r9
    mov r6, r10
    mov r7, r11
    push {r4-r7}
    ldmia r1!, {r2-r7}
    mov r12, r3
    ldr r1, [r1]
    push {r1-r7}
.L\name\()_panel:
    ldr r1, [sp, #20]
    mov r8, r1
    mov r9, r1
    mov r10, r1
    mov r11, r1
    ldr r1, [sp, #4]
.L\name\()_loop:
    \block
    cmp r1, r12
    bne .L\name\()_loop
    .ifc \name, tinyfold_fixed_i8
    ldr r2, [sp, #24]
    ldr r3, [sp]
    .irp sum, r8, r9, r10, r11
    mov r1, \sum
    lsls r1, r2
    asrs r1, r3
    mov \sum, r1
    .endr
    .endif
    ldmia r0!, {r2-r5}
    mov r6, r2
    orrs r6, r3
    orrs r6, r4
    orrs r6, r5
    lsls r6, r6, #16
    bne .L\name\()_long
    fixed_scale r8, r2
    fixed_scale r9, r3
    fixed_scale r10, r4
    fixed_scale r11, r5
.L\name\()_bias:
    ldr r1, [sp, #12]
    ldmia r0!, {r6, r7}
    adds r2, r2, r6
    adds r3, r3, r7
    ldmia r0!, {r6, r7}
    adds r4, r4, r6
    adds r5, r5, r7
    stmia r1!, {r2-r5}
    str r1, [sp, #12]
    ldr r2, [sp, #16]
    cmp r1, r2
    .ifc \name, tinyfold_fixed_i8
    beq .L\name\()_end
    b .L\name\()_panel
.L\name\()_end:
    .else
    bne .L\name\()_panel
    .endif
    add sp, sp, #28
    pop {r4-r7}
    mov r8, r4
    mov r9, r5
    mov r10, r6
    mov r11, r7
    pop {r4-r7, pc}
.L\name\()_long:
    subs r0, r0, #16
    .irp sum, r8, r9, r10, r11
    mov r1, \sum
    ldmia r0!, {r2}
    bl tinyfold_fixed_mulh
    mov \sum, r1
    .endr
    mov r2, r8
    mov r3, r9
    mov r4, r10
    mov r5, r11
    b .L\name\()_bias
    .size \name, . - \name
.endm

@ \scale = floor(sum scale / 2^32) where the low half of the scale is 0.
.macro fixed_scale sum, scale
    mov r1, \sum
    asrs \scale, \scale, #16
    asrs r6, r1, #16
    uxth r1, r1
    muls r1, \scale, r1
    muls \scale, r6, \scale
    asrs r1, r1, #16
    adds \scale, \scale, r1
.endm

@ i16 weights: a word is two columns of a row.
.macro fixed_i16_row w, sum
    sxth r6, \w
    asrs \w, \w, #16
    muls r6, r2, r6
    muls \w, r3, \w
    add \sum, r6
    add \sum, \w
.endm
.macro fixed_i16_block
    ldmia r1!, {r2, r3}
    ldmia r0!, {r4, r5, r7}
    fixed_i16_row r4, r8
    fixed_i16_row r5, r9
    fixed_i16_row r7, r10
    ldmia r0!, {r4, r5, r7}
    fixed_i16_row r4, r11
    ldmia r1!, {r2, r3}
    fixed_i16_row r5, r8
    fixed_i16_row r7, r9
    ldmia r0!, {r4, r5}
    fixed_i16_row r4, r10
    fixed_i16_row r5, r11
.endm
    fixed_kernel tinyfold_fixed_i16, fixed_i16_block

@ i8 weights: a word is columns 0, 2, 1, 3 of a row from its low byte on; 0 and 1 are stored plus 128.
.macro fixed_i8_row sum
    ldmia r0!, {r4}
    uxtb r5, r4
    muls r5, r2, r5
    add \sum, r5
    asrs r4, r4, #8
    sxtb r5, r4
    muls r5, r6, r5
    add \sum, r5
    asrs r4, r4, #8
    uxtb r5, r4
    muls r5, r3, r5
    add \sum, r5
    asrs r4, r4, #8
    muls r4, r7, r4
    add \sum, r4
.endm
.macro fixed_i8_block
    ldmia r1!, {r2, r3, r6, r7}
    fixed_i8_row r8
    fixed_i8_row r9
    fixed_i8_row r10
    fixed_i8_row r11
.endm
    fixed_kernel tinyfold_fixed_i8, fixed_i8_block

@ r1 = floor(r1 r2 / 2^32) by four products of halves; changes r2-r6.
    .section .text.tinyfold_fixed_mulh, "ax", %progbits
    .type tinyfold_fixed_mulh, %function
    .thumb_func
tinyfold_fixed_mulh:
    uxth r3, r1
    asrs r1, r1, #16
    uxth r4, r2
    asrs r2, r2, #16
    mov r5, r3
    muls r5, r4, r5
    muls r4, r1, r4
    muls r1, r2, r1
    muls r2, r3, r2
    lsrs r5, r5, #16
    adds r4, r4, r5
    uxth r5, r4
    asrs r4, r4, #16
    adds r2, r2, r5
    asrs r2, r2, #16
    adds r1, r1, r4
    adds r1, r1, r2
    bx lr
    .size tinyfold_fixed_mulh, . - tinyfold_fixed_mulh

    .purgem fixed_kernel
    .purgem fixed_scale
    .purgem fixed_i16_row
    .purgem fixed_i16_block
    .purgem fixed_i8_row
    .purgem fixed_i8_block
    .text
