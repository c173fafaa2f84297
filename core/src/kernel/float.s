@ f32 kernels for cores with an FPU: weights are streamed by load-multiple, sums stay in registers.
@ Every sum is added in the order of the portable kernels, so the bits are theirs.

    .syntax unified

@ s0..s7 += the column in s\first.. times s\rate.
.macro products first, rate
    .irp k, 0, 1, 2, 3, 4, 5, 6, 7
    .set weight, \first + \k
    product %weight, \rate
    .endr
.endm
