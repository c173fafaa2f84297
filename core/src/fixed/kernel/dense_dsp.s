@ Dense products for cores with the DSP extension. r0: panels, r1: Job (kernel/mod.rs).
@
@ r0 weights, r1 rates, r2 their end, r3-r6 sums of four rows, r7-r10 weights, r11-r12 rates, lr free.
@ Stack: 0 rates, 4 their end, 8 out, 12 its end, 16 start, 20 left, 24 right, 28 entry into the loop.
@ The loop holds four blocks of four columns; the entry skips what the last round has too many.
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
    ubfx r9, r9, #3, #2
    mov r10, #\size
    mul r9, r9, r10
    adr.w r10, .L\name\()_loop
    add r9, r9, r10
    add r9, r9, #1
    push {r2-r9}
.endm

.macro fixed_next name
    str r7, [sp, #8]
    cmp r7, r8
    bne.w .L\name\()_panel
    add sp, sp, #32
    pop {r4-r11, pc}
    .size \name, . - \name
.endm

.macro fixed_kernel name, block, size
    fixed_open \name, \size
.L\name\()_panel:
    ldrd r1, r2, [sp]
    ldr r3, [sp, #16]
    mov r4, r3
    mov r5, r3
    mov r6, r3
    ldr pc, [sp, #28]
    .balign 4
.L\name\()_loop:
    \block
    \block
    \block
    \block
    cmp r1, r2
    bne.w .L\name\()_loop
    .ifc \name, tinyfold_fixed_i8
    ldrd r1, r2, [sp, #20]
    .irp sum, r3, r4, r5, r6
    lsl.w \sum, \sum, r1
    asr.w \sum, \sum, r2
    .endr
    .endif
    ldmia r0!, {r7-r10}
    ldmia.w r0!, {r1, r2, r11, r12}
    smmla r3, r3, r7, r1
    smmla r4, r4, r8, r2
    smmla r5, r5, r9, r11
    smmla r6, r6, r10, r12
    ldrd r7, r8, [sp, #8]
    stmia.w r7!, {r3-r6}
    fixed_next \name
.endm

@ i16 weights: a word is two columns of a row.
.macro fixed_i16_block
    ldmia.w r1!, {r11, r12}
    .irp x, r11, r12
    ldmia.w r0!, {r7-r10}
    smlad r3, r7, \x, r3
    smlad r4, r8, \x, r4
    smlad r5, r9, \x, r5
    smlad r6, r10, \x, r6
    .endr
.endm
    fixed_kernel tinyfold_fixed_i16, fixed_i16_block, 44

@ i8 weights: a word is columns 0, 2, 1, 3 of a row from its low byte on; 0 and 1 are stored plus 128.
.macro fixed_i8_row w, sum
    uxtb16 lr, \w
    sxtb16 \w, \w, ror #8
    smlad \sum, lr, r11, \sum
    smlad \sum, \w, r12, \sum
.endm
.macro fixed_i8_block
    ldmia.w r1!, {r11, r12}
    ldmia.w r0!, {r7-r10}
    fixed_i8_row r7, r3
    fixed_i8_row r8, r4
    fixed_i8_row r9, r5
    fixed_i8_row r10, r6
.endm
    fixed_kernel tinyfold_fixed_i8, fixed_i8_block, 72

@ The same times 256 with rates of 8 bits. As halves of 16 bits, a word is w0 + 256 w2 and w1 + 256 w3:
@ (w0 + 256 w2) x2 + w0 (256 x0 - x2) = 256 (w0 x0 + w2 x2), so one extraction serves four columns.
.macro fixed_i8_i8_block
    ldmia.w r1!, {r11, r12}
    ldmia.w r0!, {r7-r10}
    smlad r3, r7, r12, r3
    smlad r4, r8, r12, r4
    smlad r5, r9, r12, r5
    smlad r6, r10, r12, r6
    uxtb16 r7, r7
    uxtb16 r8, r8
    uxtb16 r9, r9
    uxtb16 r10, r10
    smlad r3, r7, r11, r3
    smlad r4, r8, r11, r4
    smlad r5, r9, r11, r5
    smlad r6, r10, r11, r6
.endm
    fixed_kernel tinyfold_fixed_i8_i8, fixed_i8_i8_block, 56

@ r0: rates x0 x1 | x2 x3, r1: their end, r2: where 256 x0 - x2, 256 x1 - x3 | x2, x3 go.
@ Gives the sum of all x0 and x1.
    .section .text.tinyfold_fixed_mix, "ax", %progbits
    .global tinyfold_fixed_mix
    .type tinyfold_fixed_mix, %function
    .thumb_func
tinyfold_fixed_mix:
    push {r4-r6, lr}
    movs r3, #0
    mov r12, #0x10001
1:  ldmia r0!, {r4, r5}
    uxtb16 r6, r4
    smlad r3, r4, r12, r3
    lsls r6, r6, #8
    ssub16 r4, r6, r5
    stmia r2!, {r4, r5}
    cmp r0, r1
    bne 1b
    mov r0, r3
    pop {r4-r6, pc}
    .size tinyfold_fixed_mix, . - tinyfold_fixed_mix

@ i16 weights, sums of 64 bits in r3:r4, r5:r6, r7:r8, r9:r10; weights in r11-r12, rates in lr.
.macro fixed_i16_wide_block
    .rept 2
    ldr.w lr, [r1], #4
    ldmia.w r0!, {r11, r12}
    smlald r3, r4, r11, lr
    smlald r5, r6, r12, lr
    ldmia.w r0!, {r11, r12}
    smlald r7, r8, r11, lr
    smlald r9, r10, r12, lr
    .endr
.endm
    fixed_open tinyfold_fixed_i16_wide, 56
.Ltinyfold_fixed_i16_wide_panel:
    ldrd r1, r2, [sp]
    .irp sum, r3, r4, r5, r6, r7, r8, r9, r10
    mov.w \sum, #0
    .endr
    ldr pc, [sp, #28]
    .balign 4
.Ltinyfold_fixed_i16_wide_loop:
    .rept 4
    fixed_i16_wide_block
    .endr
    cmp r1, r2
    bne.w .Ltinyfold_fixed_i16_wide_loop
    ldr r1, [sp, #24]
    rsb r2, r1, #32
.macro fixed_shift low, high
    lsr.w \low, \low, r1
    lsl.w \high, \high, r2
    orr.w \low, \low, \high
.endm
    fixed_shift r3, r4
    fixed_shift r5, r6
    fixed_shift r7, r8
    fixed_shift r9, r10
    ldmia.w r0!, {r4, r6, r8, r10}
    ldmia.w r0!, {r1, r2, r11, r12}
    smmla r3, r3, r4, r1
    smmla r4, r5, r6, r2
    smmla r5, r7, r8, r11
    smmla r6, r9, r10, r12
    ldrd r7, r8, [sp, #8]
    stmia.w r7!, {r3-r6}
    fixed_next tinyfold_fixed_i16_wide

    .purgem fixed_open
    .purgem fixed_next
    .purgem fixed_kernel
    .purgem fixed_i16_block
    .purgem fixed_i8_row
    .purgem fixed_i8_block
    .purgem fixed_i8_i8_block
    .purgem fixed_i16_wide_block
    .purgem fixed_shift
    .text
