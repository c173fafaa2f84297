@ A pass over the records of a low-rank ReLU network of R = I = O = 1, 2 or 3, with the DSP extension.
@ r0: records, r1: their number, r2: z, r3: x, stack: sums.
@
@ A loop holds eight records; the entry skips what the last round has too many. A unit with phi = 0 leaves
@ before its V and C. At rank 3 the sums wait on the stack.
@ Weights of 8 bits count 256 times: b0 b1 b2 b3 become halves b0 b2 and b1 b3 of clean words.
    .syntax unified
    .thumb
    .equ fixed_mask, 0xff00ff00

.macro fixed_open name, bytes, size
    .section .text.\name, "ax", %progbits
    .balign 4
    .global \name
    .type \name, %function
    .thumb_func
\name:
    push {r4-r11, lr}
    rsb r4, r1, #0
    and r4, r4, #7
    mov r5, #\size
    mul r4, r4, r5
    adr.w r5, .L\name
    add r4, r4, r5
    add r12, r4, #1
    mov r5, #\bytes
    mla r1, r1, r5, r0
    push {r1}
.endm

.macro fixed_rounds name, unit
    bx r12
    .balign 4
.L\name:
    .rept 8
    \unit
1:
    .endr
.endm

.macro fixed_close name
    add sp, sp, #4
    pop {r4-r11, pc}
    .size \name, . - \name
.endm

@ z r2, x r3, sums r4-r5; r6 r, r7 b, r8 U B, r9 V C; r10 phi.
.macro fixed_i16_1
    ldmia.w r0!, {r6-r9}
    smulwb r10, r2, r8
    smlawt r10, r3, r8, r10
    smmla r10, r10, r6, r7
    cmp.w r10, #0
    ble.w 1f
    smlawb r4, r10, r9, r4
    smlawt r5, r10, r9, r5
.endm
    fixed_open tinyfold_fixed_pass_i16_1, 16, 32
    movs r4, #0
    movs r5, #0
    ldr r2, [r2]
    ldr r3, [r3]
    fixed_rounds tinyfold_fixed_pass_i16_1, fixed_i16_1
    cmp r0, r1
    bne.w .Ltinyfold_fixed_pass_i16_1
    ldr r3, [sp, #40]
    strd r4, r5, [r3]
    fixed_close tinyfold_fixed_pass_i16_1

@ As above, but r8 is U B V C, r9 U V, then r8 B C; r11 the mask.
.macro fixed_i8_1
    ldmia.w r0!, {r6-r8}
    and.w r9, r11, r8, lsl #8
    and.w r8, r8, r11
    smulwb r10, r2, r9
    smlawb r10, r3, r8, r10
    smmla r10, r10, r6, r7
    cmp.w r10, #0
    ble.w 1f
    smlawt r4, r10, r9, r4
    smlawt r5, r10, r8, r5
.endm
    fixed_open tinyfold_fixed_pass_i8_1, 12, 40
    mov r11, #fixed_mask
    movs r4, #0
    movs r5, #0
    ldr r2, [r2]
    ldr r3, [r3]
    fixed_rounds tinyfold_fixed_pass_i8_1, fixed_i8_1
    cmp r0, r1
    bne.w .Ltinyfold_fixed_pass_i8_1
    ldr r3, [sp, #40]
    strd r4, r5, [r3]
    fixed_close tinyfold_fixed_pass_i8_1

@ z r1-r2, x r3-r4, sums r5-r8; r9 r, r10 b, r11 U, r12 B, then r9 V, r10 C; lr phi.
.macro fixed_i16_2
    ldrd r9, r10, [r0], #24
    ldrd r11, r12, [r0, #-16]
    smulwb lr, r1, r11
    smlawt lr, r2, r11, lr
    smlawb lr, r3, r12, lr
    smlawt lr, r4, r12, lr
    smmla lr, lr, r9, r10
    cmp.w lr, #0
    ble.w 1f
    ldrd r9, r10, [r0, #-8]
    smlawb r5, lr, r9, r5
    smlawt r6, lr, r9, r6
    smlawb r7, lr, r10, r7
    smlawt r8, lr, r10, r8
.endm
    fixed_open tinyfold_fixed_pass_i16_2, 24, 56
    movs r5, #0
    movs r6, #0
    movs r7, #0
    mov r8, r7
    ldrd r1, r2, [r2]
    ldrd r3, r4, [r3]
    fixed_rounds tinyfold_fixed_pass_i16_2, fixed_i16_2
    ldr r9, [sp]
    cmp r0, r9
    bne.w .Ltinyfold_fixed_pass_i16_2
    ldr r9, [sp, #40]
    stmia.w r9, {r5-r8}
    fixed_close tinyfold_fixed_pass_i16_2

@ As above, but r11 is U B, then V C in r9, with r12 and r10 the odd bytes.
.macro fixed_i8_2
    ldrd r9, r10, [r0], #16
    ldr r11, [r0, #-8]
    and.w r12, r11, #fixed_mask
    lsl.w r11, r11, #8
    smulwb lr, r1, r11
    and.w r11, r11, #fixed_mask
    smlawb lr, r2, r12, lr
    smlawt lr, r3, r11, lr
    smlawt lr, r4, r12, lr
    smmla lr, lr, r9, r10
    cmp.w lr, #0
    ble.w 1f
    ldr r9, [r0, #-4]
    and.w r10, r9, #fixed_mask
    lsl.w r9, r9, #8
    smlawb r5, lr, r9, r5
    and.w r9, r9, #fixed_mask
    smlawb r6, lr, r10, r6
    smlawt r7, lr, r9, r7
    smlawt r8, lr, r10, r8
.endm
    fixed_open tinyfold_fixed_pass_i8_2, 16, 80
    movs r5, #0
    movs r6, #0
    movs r7, #0
    mov r8, r7
    ldrd r1, r2, [r2]
    ldrd r3, r4, [r3]
    fixed_rounds tinyfold_fixed_pass_i8_2, fixed_i8_2
    ldr r9, [sp]
    cmp r0, r9
    bne.w .Ltinyfold_fixed_pass_i8_2
    ldr r9, [sp, #40]
    stmia.w r9, {r5-r8}
    fixed_close tinyfold_fixed_pass_i8_2

@ sums at \at += phi (\a, \b), \x and \y say which halves; r7-r8 hold the sums.
.macro fixed_two_sums at, x, a, y, b
    ldrd r7, r8, [sp, #\at]
    smlaw\x r7, r12, \a, r7
    smlaw\y r8, r12, \b, r8
    strd r7, r8, [sp, #\at]
.endm

@ z r1-r3, x r4-r6; r7 r, r8 b, r9 U0 U1, r10 U2 B0, r11 B1 B2, then r9 V0 V1, r10 V2 C0, r11 C1 C2;
@ r12 phi, lr the end of the records.
.macro fixed_i16_3
    ldmia.w r0, {r7-r11}
    add.w r0, r0, #32
    smulwb r12, r1, r9
    smlawt r12, r2, r9, r12
    smlawb r12, r3, r10, r12
    smlawt r12, r4, r10, r12
    smlawb r12, r5, r11, r12
    smlawt r12, r6, r11, r12
    smmla r12, r12, r7, r8
    cmp.w r12, #0
    ble.w 1f
    ldrd r9, r10, [r0, #-12]
    ldr r11, [r0, #-4]
    fixed_two_sums 0, b, r9, t, r9
    fixed_two_sums 8, b, r10, t, r10
    fixed_two_sums 16, b, r11, t, r11
.endm
    fixed_open tinyfold_fixed_pass_i16_3, 32, 100
    mov lr, r1
    movs r4, #0
    .rept 6
    push {r4}
    .endr
    ldmia.w r3, {r4-r6}
    ldmia r2, {r1-r3}
    fixed_rounds tinyfold_fixed_pass_i16_3, fixed_i16_3
    cmp r0, lr
    bne.w .Ltinyfold_fixed_pass_i16_3
    pop {r4-r9}
    ldr r3, [sp, #40]
    stmia.w r3, {r4-r9}
    fixed_close tinyfold_fixed_pass_i16_3

@ r9 U0 U1 U2 B0, r10 B1 B2 V0 V1, later r9 V2 C0 C1 C2; lr the mask.
.macro fixed_i8_3
    ldmia.w r0, {r7-r10}
    add.w r0, r0, #20
    and.w r11, lr, r9, lsl #8
    and.w r9, r9, lr
    smulwb r12, r1, r11
    smlawb r12, r2, r9, r12
    smlawt r12, r3, r11, r12
    smlawt r12, r4, r9, r12
    and.w r11, lr, r10, lsl #8
    and.w r10, r10, lr
    smlawb r12, r5, r11, r12
    smlawb r12, r6, r10, r12
    smmla r12, r12, r7, r8
    cmp.w r12, #0
    ble.w 1f
    ldr r9, [r0, #-4]
    fixed_two_sums 0, t, r11, t, r10
    and.w r11, lr, r9, lsl #8
    and.w r9, r9, lr
    fixed_two_sums 8, b, r11, b, r9
    fixed_two_sums 16, t, r11, t, r9
.endm
    fixed_open tinyfold_fixed_pass_i8_3, 20, 120
    mov lr, #fixed_mask
    movs r4, #0
    .rept 6
    push {r4}
    .endr
    ldmia.w r3, {r4-r6}
    ldmia r2, {r1-r3}
    fixed_rounds tinyfold_fixed_pass_i8_3, fixed_i8_3
    ldr r7, [sp, #24]
    cmp r0, r7
    bne.w .Ltinyfold_fixed_pass_i8_3
    pop {r4-r9}
    ldr r3, [sp, #40]
    stmia.w r3, {r4-r9}
    fixed_close tinyfold_fixed_pass_i8_3

    .purgem fixed_open
    .purgem fixed_rounds
    .purgem fixed_close
    .purgem fixed_i16_1
    .purgem fixed_i8_1
    .purgem fixed_i16_2
    .purgem fixed_i8_2
    .purgem fixed_two_sums
    .purgem fixed_i16_3
    .purgem fixed_i8_3
    .text
