@ The correction of 2, 4 or 6 sums. r0: biases, then shifts, of the rows from the first one wanted on, r1:
@ end of the result, r2: rows of M, r3: where the result goes, stack: sums.
@
@ r4-r9 sums, r12 and lr the total; a shift leaves the bit that rounds in the carry.
    .syntax unified
    .thumb

.macro fixed_correct sums, last
    .section .text.tinyfold_fixed_correct_\sums, "ax", %progbits
    .balign 4
    .global tinyfold_fixed_correct_\sums
    .type tinyfold_fixed_correct_\sums, %function
    .thumb_func
tinyfold_fixed_correct_\sums:
    push {r4-r11, lr}
    ldr r12, [sp, #36]
    ldmia.w r12, {r4-\last}
1:  ldrd r10, r11, [r2], #8
    smull r12, lr, r4, r10
    smlal r12, lr, r5, r11
    .if \sums > 2
    ldrd r10, r11, [r2], #8
    smlal r12, lr, r6, r10
    smlal r12, lr, r7, r11
    .endif
    .if \sums > 4
    ldrd r10, r11, [r2], #8
    smlal r12, lr, r8, r10
    smlal r12, lr, r9, r11
    .endif
    ldr r11, [r0, #4 * \sums]
    subs r10, r11, #32
    bhs 4f
    rsb.w r10, r11, #32
    lsl.w r10, lr, r10
    asr.w lr, lr, r11
    lsrs.w r12, r12, r11
    orr.w r12, r12, r10
2:  ldr r10, [r0], #4
    adcs r12, r12, #0
    adc lr, lr, #0
    adds r12, r12, r10
    adcs lr, lr, r10, asr #31
    bvs 6f
    cmp.w lr, r12, asr #31
    bne 5f
3:  str r12, [r3], #4
    cmp r3, r1
    bne 1b
    pop {r4-r11, pc}
4:  lsls.w r12, r12, #1
    asrs.w r12, lr, r10
    asr.w lr, lr, #31
    b 2b
6:  mvn lr, lr
5:  mvn r12, #0x80000000
    eor r12, r12, lr, asr #31
    b 3b
    .size tinyfold_fixed_correct_\sums, . - tinyfold_fixed_correct_\sums
.endm

    fixed_correct 2, r5
    fixed_correct 4, r7
    fixed_correct 6, r9

    .purgem fixed_correct
    .text
