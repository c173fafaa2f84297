@ f32 kernels of cores with an FPU: weights are streamed by load-multiple, sums stay in registers. Every sum
@ is added in the order of the portable kernels, so its bits are theirs. Separate arithmetic takes the
@ products of several columns before their sums, so that no sum waits for its product.

    .syntax unified
    .thumb

.macro product kind, weight, x
    .ifc \kind, separate
    vmul.f32 \weight, \weight, \x
    .endif
.endm

.macro sum kind, sum, weight, x
    .ifc \kind, separate
    vadd.f32 \sum, \sum, \weight
    .else
    vfma.f32 \sum, \weight, \x
    .endif
.endm

.macro entry name
    .section .text.\name, "ax", %progbits
    .global \name
    .type \name, %function
    .thumb_func
    .balign 4
\name:
.endm

@ ---- Dense ----

@ s0..s7 += eight rows of two columns, times x and y.
.macro two_columns kind, x, y
    vldmia r0!, {s8-s23}
    product \kind, s8, \x; product \kind, s9, \x; product \kind, s10, \x; product \kind, s11, \x
    product \kind, s12, \x; product \kind, s13, \x; product \kind, s14, \x; product \kind, s15, \x
    product \kind, s16, \y; product \kind, s17, \y; product \kind, s18, \y; product \kind, s19, \y
    product \kind, s20, \y; product \kind, s21, \y; product \kind, s22, \y; product \kind, s23, \y
    sum \kind, s0, s8, \x; sum \kind, s1, s9, \x; sum \kind, s2, s10, \x; sum \kind, s3, s11, \x
    sum \kind, s4, s12, \x; sum \kind, s5, s13, \x; sum \kind, s6, s14, \x; sum \kind, s7, s15, \x
    sum \kind, s0, s16, \y; sum \kind, s1, s17, \y; sum \kind, s2, s18, \y; sum \kind, s3, s19, \y
    sum \kind, s4, s20, \y; sum \kind, s5, s21, \y; sum \kind, s6, s22, \y; sum \kind, s7, s23, \y
.endm

@ s0..s7 += eight rows of r8 columns (at least one), times what r7 points to.
.macro single_columns kind
1:
    vldmia r7!, {s24}
    vldmia r0!, {s8-s15}
    product \kind, s8, s24; product \kind, s9, s24; product \kind, s10, s24; product \kind, s11, s24
    product \kind, s12, s24; product \kind, s13, s24; product \kind, s14, s24; product \kind, s15, s24
    sum \kind, s0, s8, s24; sum \kind, s1, s9, s24; sum \kind, s2, s10, s24; sum \kind, s3, s11, s24
    sum \kind, s4, s12, s24; sum \kind, s5, s13, s24; sum \kind, s6, s14, s24; sum \kind, s7, s15, s24
    subs r8, r8, #1
    bne 1b
.endm

@ p of panels of eight rows: columns b, n of W, I of B.
@ r0 panels, r1 h, r2 n, r3 x; on the stack I, p, number of panels (at least one).
.macro matvec kind
    entry tinyfold_matvec_\kind
    push {r4-r8, lr}
    vpush {s16-s31}
    add r4, sp, #88
    ldm r4, {r4-r6}
2:
    vldmia r0!, {s0-s7}
    mov r7, r1
    subs r8, r2, #8
    blo 4f
3:
    vldmia r7!, {s24-s31}
    two_columns \kind, s24, s25
    two_columns \kind, s26, s27
    two_columns \kind, s28, s29
    two_columns \kind, s30, s31
    subs r8, r8, #8
    bhs 3b
4:
    adds r8, r8, #8
    beq 5f
    single_columns \kind
5:
    mov r7, r3
    movs r8, r4
    beq 6f
    single_columns \kind
6:
    vstmia r5!, {s0-s7}
    subs r6, r6, #1
    bne 2b
    vpop {s16-s31}
    pop {r4-r8, pc}
.endm

    matvec separate
    matvec fused

@ The same in separate arithmetic for two panels at once, columns times 0 left out: no sum is ever -0, so they
@ add nothing.
@ r0 panels, r1 h, r2 n, r3 x; on the stack I, p, pairs of panels (at least one).

@ s0..s7 += eight rows at \panel, times s16.
.macro column panel
    vldmia \panel!, {s17-s24}
    product separate, s17, s16; product separate, s18, s16; product separate, s19, s16
    product separate, s20, s16; product separate, s21, s16; product separate, s22, s16
    product separate, s23, s16; product separate, s24, s16
.endm

@ r10 columns (none to all), times what r9 points to.
.macro nonzero_columns
    cmp r10, #0
    beq 3f
    b 2f
1:
    adds r0, #32
    adds r8, #32
    subs r10, #1
    beq 3f
2:
    ldr r11, [r9], #4
    lsls r12, r11, #1
    beq 1b
    vmov s16, r11
    column r0
    vadd.f32 s0, s0, s17; vadd.f32 s1, s1, s18; vadd.f32 s2, s2, s19; vadd.f32 s3, s3, s20
    vadd.f32 s4, s4, s21; vadd.f32 s5, s5, s22; vadd.f32 s6, s6, s23; vadd.f32 s7, s7, s24
    column r8
    vadd.f32 s8, s8, s17; vadd.f32 s9, s9, s18; vadd.f32 s10, s10, s19; vadd.f32 s11, s11, s20
    vadd.f32 s12, s12, s21; vadd.f32 s13, s13, s22; vadd.f32 s14, s14, s23; vadd.f32 s15, s15, s24
    subs r10, #1
    bne 2b
3:
.endm

    entry tinyfold_matvec_sparse
    push {r4-r11, lr}
    vpush {s16-s24}
    add r4, sp, #72
    ldm r4, {r4-r6}
    adds r7, r2, r4
    adds r7, #1
    lsls r7, r7, #5
4:
    adds r8, r0, r7
    vldmia r0!, {s0-s7}
    vldmia r8!, {s8-s15}
    mov r9, r1
    mov r10, r2
    nonzero_columns
    mov r9, r3
    mov r10, r4
    nonzero_columns
    mov r0, r8
    vstmia r5!, {s0-s15}
    subs r6, #1
    bne 4b
    vpop {s16-s24}
    pop {r4-r11, pc}

@ ---- Learning ----

@ w -= (scale f) a of pairs of panels: f by rows, a by columns; columns with a = 0 are left as they are.
@ r0 first column, r1 a, r2 number of columns (at least one), r3 f; on the stack bytes of a panel, scale, pairs
@ (at least one).

@ Eight rows at \panel -= s16 times the rows from \f on.
.macro rank_one_column panel, f0, f1, f2, f3, f4, f5, f6, f7
    vldmia \panel, {s17-s24}
    vmul.f32 s25, \f0, s16; vmul.f32 s26, \f1, s16; vmul.f32 s27, \f2, s16; vmul.f32 s28, \f3, s16
    vsub.f32 s17, s17, s25; vsub.f32 s18, s18, s26; vsub.f32 s19, s19, s27; vsub.f32 s20, s20, s28
    vmul.f32 s25, \f4, s16; vmul.f32 s26, \f5, s16; vmul.f32 s27, \f6, s16; vmul.f32 s28, \f7, s16
    vsub.f32 s21, s21, s25; vsub.f32 s22, s22, s26; vsub.f32 s23, s23, s27; vsub.f32 s24, s24, s28
    vstmia \panel!, {s17-s24}
.endm

    entry tinyfold_rank_one
    push {r4-r11}
    vpush {s16-s28}
    add r4, sp, #84
    ldm r4, {r4, r5, r6}
4:
    vmov s16, r5
    vldmia r3!, {s0-s15}
    .irp k, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    vmul.f32 s\k, s\k, s16
    .endr
    mov r7, r0
    adds r8, r0, r4
    mov r9, r1
    mov r10, r2
    b 2f
1:
    adds r7, #32
    adds r8, #32
    subs r10, #1
    beq 3f
2:
    ldr r11, [r9], #4
    lsls r12, r11, #1
    beq 1b
    vmov s16, r11
    rank_one_column r7, s0, s1, s2, s3, s4, s5, s6, s7
    rank_one_column r8, s8, s9, s10, s11, s12, s13, s14, s15
    subs r10, #1
    bne 2b
3:
    add r0, r0, r4, lsl #1
    subs r6, #1
    bne 4b
    vpop {s16-s28}
    pop {r4-r11}
    bx lr

@ m = carry m + slope a and w -= (scale q) m of four rows of panels: SnAp-1 and its like.
@ r0 w of the first column, r1 m of the first column, r2 a, r3 number of columns (at least one); on the stack
@ carry, slope, q, scale, bytes of a panel, number of panels (at least one).
    entry tinyfold_diagonal
    push {r4-r11, lr}
    vpush {s16-s24}
    add r4, sp, #72
    ldm r4, {r4-r9}
2:
    vldmia r4, {s0-s3}
    vldmia r5, {s4-s7}
    vldmia r6, {s8-s11}
    vmov s12, r7
    vmul.f32 s8, s8, s12; vmul.f32 s9, s9, s12; vmul.f32 s10, s10, s12; vmul.f32 s11, s11, s12
    mov r10, r2
    mov r11, r3
    mov r12, r0
    mov lr, r1
1:
    vldmia lr, {s13-s16}
    vldmia r10!, {s12}
    vmul.f32 s13, s0, s13; vmul.f32 s14, s1, s14; vmul.f32 s15, s2, s15; vmul.f32 s16, s3, s16
    vmul.f32 s17, s4, s12; vmul.f32 s18, s5, s12; vmul.f32 s19, s6, s12; vmul.f32 s20, s7, s12
    vldmia r12, {s21-s24}
    vadd.f32 s13, s13, s17; vadd.f32 s14, s14, s18; vadd.f32 s15, s15, s19; vadd.f32 s16, s16, s20
    vmul.f32 s17, s8, s13; vmul.f32 s18, s9, s14; vmul.f32 s19, s10, s15; vmul.f32 s20, s11, s16
    vstmia lr, {s13-s16}
    vsub.f32 s21, s21, s17; vsub.f32 s22, s22, s18; vsub.f32 s23, s23, s19; vsub.f32 s24, s24, s20
    add lr, #32
    vstmia r12, {s21-s24}
    add r12, #32
    subs r11, #1
    bne 1b
    add r0, r8
    add r1, r8
    adds r4, #32
    adds r5, #32
    adds r6, #32
    subs r9, #1
    bne 2b
    vpop {s16-s24}
    pop {r4-r11, pc}

@ ---- Low rank ----

@ One pass of a ReLU network with R = I = O = D over its records (b, U, B, V, C): p = b + U z + B x, then
@ s += V phi(p) and y += C phi(p).
@ r0 records, r1 their number (at least one), r2 z, r3 x; on the stack s and y, read and written.

@ Skips to \to if phi(p) = 0, p in s0. As signed integers, the bits of all that ReLU makes 0 are at most
@ those of -infinity (r12), save +0: it adds nothing, but a fused sum that underflow left at -0 must stay.
.macro skip_inactive kind, to
    vmov r2, s0
    cmp r2, r12
    ble \to
    .ifc \kind, fused
    cbz r2, \to
    .endif
.endm

@ s0 += words by s16.., products ahead of sums by one: no sum follows the sum it needs.
.macro unit_1 kind
    vldmia r0!, {s0-s4}
    product \kind, s1, s16; product \kind, s2, s17
    sum \kind, s0, s1, s16; sum \kind, s0, s2, s17
    skip_inactive \kind, 1f
    product \kind, s3, s0; product \kind, s4, s0
    sum \kind, s18, s3, s0; sum \kind, s19, s4, s0
1:
.endm

.macro unit_2 kind
    vldmia r0!, {s0-s8}
    product \kind, s1, s16; product \kind, s2, s17
    sum \kind, s0, s1, s16; product \kind, s3, s18
    sum \kind, s0, s2, s17; product \kind, s4, s19
    sum \kind, s0, s3, s18; sum \kind, s0, s4, s19
    skip_inactive \kind, 1f
    product \kind, s5, s0; product \kind, s6, s0; product \kind, s7, s0; product \kind, s8, s0
    sum \kind, s20, s5, s0; sum \kind, s21, s6, s0; sum \kind, s22, s7, s0; sum \kind, s23, s8, s0
1:
.endm

.macro unit_3 kind
    vldmia r0!, {s0-s12}
    product \kind, s1, s16; product \kind, s2, s17
    sum \kind, s0, s1, s16; product \kind, s3, s18
    sum \kind, s0, s2, s17; product \kind, s4, s19
    sum \kind, s0, s3, s18; product \kind, s5, s20
    sum \kind, s0, s4, s19; product \kind, s6, s21
    sum \kind, s0, s5, s20; sum \kind, s0, s6, s21
    skip_inactive \kind, 1f
    product \kind, s7, s0; product \kind, s8, s0; product \kind, s9, s0; product \kind, s10, s0
    product \kind, s11, s0; product \kind, s12, s0
    sum \kind, s22, s7, s0; sum \kind, s23, s8, s0; sum \kind, s24, s9, s0; sum \kind, s25, s10, s0
    sum \kind, s26, s11, s0; sum \kind, s27, s12, s0
1:
.endm

@ z, x, s and y of \d words from s16 on; the last of each is \z, \x, \s, \y.
.macro relu_pass d, kind, z, x0, x, s0, s, y0, y
    entry tinyfold_relu_pass_\d\()_\kind
    push {r4, lr}
    vpush {s16-s27}
    ldr r4, [sp, #60]
    vldmia r2, {s16-\z}
    vldmia r3, {\x0-\x}
    vldmia r4, {\y0-\y}
    ldr r2, [sp, #56]
    vldmia r2, {\s0-\s}
    mov r12, #0
    movt r12, #0xff80
    subs r1, r1, #4
    blo 4f
3:
    unit_\d \kind
    unit_\d \kind
    unit_\d \kind
    unit_\d \kind
    subs r1, r1, #4
    bhs 3b
4:
    adds r1, r1, #4
    beq 6f
5:
    unit_\d \kind
    subs r1, r1, #1
    bne 5b
6:
    ldr r2, [sp, #56]
    vstmia r2, {\s0-\s}
    vstmia r4, {\y0-\y}
    vpop {s16-s27}
    pop {r4, pc}
.endm

    relu_pass 1, separate, s16, s17, s17, s18, s18, s19, s19
    relu_pass 1, fused, s16, s17, s17, s18, s18, s19, s19
    relu_pass 2, separate, s17, s18, s19, s20, s21, s22, s23
    relu_pass 2, fused, s17, s18, s19, s20, s21, s22, s23
    relu_pass 3, separate, s18, s19, s21, s22, s24, s25, s27
    relu_pass 3, fused, s18, s19, s21, s22, s24, s25, s27

@ ---- Low rank, any activation ----

@ Goes on in the loop of \body for the width in r4, 1 to 8.
.macro widths body, kind
    subs r4, r4, #1
    tbb [pc, r4]
.Lwidths_\body\()_\kind:
    .irp width, 1, 2, 3, 4, 5, 6, 7, 8
    .byte (.L\body\()_\kind\()_\width - .Lwidths_\body\()_\kind) / 2
    .endr
    .irp width, 1, 2, 3, 4, 5, 6, 7, 8
.L\body\()_\kind\()_\width:
    \body \kind, \width
    .endr
.endm

.macro read kind, width
1:
    vldmia r0, {s0-s\width}
    .irp k, 1, 2, 3, 4, 5, 6, 7, 8
    .if \k <= \width
    product \kind, s\k, s1\k
    .endif
    .endr
    .irp k, 1, 2, 3, 4, 5, 6, 7, 8
    .if \k <= \width
    sum \kind, s0, s\k, s1\k
    .endif
    .endr
    add r0, r0, r5
    vstmia r3!, {s0}
    subs r1, r1, #1
    bne 1b
    b 9f
.endm

.macro write kind, width
1:
    ldr r6, [r2], #4
    lsls r7, r6, #1
    beq 2f
    vldmia r0, {s1-s\width}
    vmov s0, r6
    .irp k, 1, 2, 3, 4, 5, 6, 7, 8
    .if \k <= \width
    product \kind, s\k, s0
    .endif
    .endr
    .irp k, 1, 2, 3, 4, 5, 6, 7, 8
    .if \k <= \width
    sum \kind, s1\k, s\k, s0
    .endif
    .endr
2:
    add r0, r0, r5
    subs r1, r1, #1
    bne 1b
    b 9f
.endm

.macro low_rank kind
@ p of units: b + w z of the words b, w of a record.
@ r0 records, r1 their number (at least one), r2 z (eight words), r3 p; on the stack words of w (1 to 8) and
@ bytes from record to record.
    entry tinyfold_read_\kind
    push {r4-r7}
    vpush {s16-s18}
    ldrd r4, r5, [sp, #28]
    vldmia r2, {s11-s18}
    widths read, \kind
9:
    vpop {s16-s18}
    pop {r4-r7}
    bx lr

@ sums += w phi of units, those with phi = 0 left out.
@ r0 w of the first record, r1 number of records (at least one), r2 phi, r3 sums (eight words, read and
@ written); on the stack words of w (1 to 8) and bytes from record to record.
    entry tinyfold_write_\kind
    push {r4-r7}
    vpush {s16-s18}
    ldrd r4, r5, [sp, #28]
    vldmia r3, {s11-s18}
    widths write, \kind
9:
    vstmia r3, {s11-s18}
    vpop {s16-s18}
    pop {r4-r7}
    bx lr
.endm

    low_rank separate
    low_rank fused

@ ---- Series ----

@ \sum += \a \b
.macro add_product kind, sum, a, b
    .ifc \kind, separate
    vmla.f32 \sum, \a, \b
    .else
    vfma.f32 \sum, \a, \b
    .endif
.endm

@ b2 = (a - b2) + s3 b1
.macro last kind, a, b1, b2
    vsub.f32 \b2, \a, \b2
    add_product \kind, \b2, s3, \b1
.endm

@ b2 = (f + g u - b2) + s3 b1, for one row of f and \inputs words g at r0, u in s4..s7.
.macro row kind, inputs, b1, b2
    .if \inputs == 0
    vldmia r0!, {s8}
    .elseif \inputs == 1
    vldmia r0!, {s8-s9}
    .elseif \inputs == 2
    vldmia r0!, {s8-s10}
    .elseif \inputs == 3
    vldmia r0!, {s8-s11}
    .else
    vldmia r0!, {s8-s12}
    .endif
    .if \inputs > 0
    add_product \kind, s8, s9, s4
    .endif
    .if \inputs > 1
    add_product \kind, s8, s10, s5
    .endif
    .if \inputs > 2
    add_product \kind, s8, s11, s6
    .endif
    .if \inputs > 3
    add_product \kind, s8, s12, s7
    .endif
    last \kind, s8, \b1, \b2
.endm

@ As many rows as \count says: b1 in s1, b2 in s2.
.macro rows kind, inputs, count
    lsrs \count, \count, #1
    bcc 1f
    row \kind, \inputs, s1, s2
    vmov.f32 s8, s1
    vmov.f32 s1, s2
    vmov.f32 s2, s8
1:
    beq 4f
    lsrs \count, \count, #1
    bcc 2f
    row \kind, \inputs, s1, s2
    row \kind, \inputs, s2, s1
2:
    beq 4f
3:
    .if \inputs == 0
    vldmia r0!, {s8-s11}
    last \kind, s8, s1, s2
    last \kind, s9, s2, s1
    last \kind, s10, s1, s2
    last \kind, s11, s2, s1
    .else
    row \kind, \inputs, s1, s2
    row \kind, \inputs, s2, s1
    row \kind, \inputs, s1, s2
    row \kind, \inputs, s2, s1
    .endif
    subs \count, \count, #1
    bne 3b
4:
.endm

@ A series at s0: r0 words, r1 rows of f alone, r2 rows of f and g, r3 u.
.macro line kind, inputs
    entry tinyfold_line_\inputs\()_\kind
    mov r12, #0
    vmov s1, r12
    vmov s2, r12
    vadd.f32 s3, s0, s0
    .if \inputs == 1
    vldmia r3, {s4}
    .elseif \inputs == 2
    vldmia r3, {s4-s5}
    .elseif \inputs == 3
    vldmia r3, {s4-s6}
    .elseif \inputs == 4
    vldmia r3, {s4-s7}
    .endif
    .if \inputs > 0
    cbz r1, 5f
    rows \kind, 0, r1
5:
    .endif
    rows \kind, \inputs, r2
    .ifc \kind, separate
    vmls.f32 s1, s0, s2
    .else
    vfms.f32 s1, s0, s2
    .endif
    vmov.f32 s0, s1
    bx lr
.endm

    line separate, 0
    line separate, 1
    line separate, 2
    line separate, 3
    line separate, 4
    line fused, 0
    line fused, 1
    line fused, 2
    line fused, 3
    line fused, 4

@ ---- One number ----

@ a b + c, rounded once.
    entry tinyfold_fma
    vfma.f32 s2, s0, s1
    vmov.f32 s0, s2
    bx lr
