//go:build gc && !purego

#include "textflag.h"

// Salsa20 with AVX2. A register holds one diagonal of the state's matrix for
// two blocks, so that a round is the same four steps on whole registers, and
// the diagonals are turned between rounds. Three pairs of blocks are in flight,
// because the steps of one wait for each other.
//
// Pairs are in Y0-Y3, Y4-Y7 and Y8-Y11, each with its diagonals
//	(x0 x5 x10 x15) (x4 x9 x14 x3) (x8 x13 x2 x7) (x12 x1 x6 x11)

// b ^= (a + d) <<< n
#define STEP(a, d, b, n, m, t, u) \
	VPADDD d, a, t; \
	VPSLLD $n, t, u; \
	VPSRLD $m, t, t; \
	VPXOR  u, b, b; \
	VPXOR  t, b, b

#define ROUND(a1, b1, c1, d1, a2, b2, c2, d2, a3, b3, c3, d3) \
	STEP(a1, d1, b1, 7, 25, Y12, Y13); \
	STEP(a2, d2, b2, 7, 25, Y14, Y15); \
	STEP(a3, d3, b3, 7, 25, Y12, Y13); \
	STEP(b1, a1, c1, 9, 23, Y14, Y15); \
	STEP(b2, a2, c2, 9, 23, Y12, Y13); \
	STEP(b3, a3, c3, 9, 23, Y14, Y15); \
	STEP(c1, b1, d1, 13, 19, Y12, Y13); \
	STEP(c2, b2, d2, 13, 19, Y14, Y15); \
	STEP(c3, b3, d3, 13, 19, Y12, Y13); \
	STEP(d1, c1, a1, 18, 14, Y14, Y15); \
	STEP(d2, c2, a2, 18, 14, Y12, Y13); \
	STEP(d3, c3, a3, 18, 14, Y14, Y15)

// TURN makes columns of rows and rows of columns.
#define TURN(b, c, d) \
	VPSHUFD $0x93, b, b; \
	VPSHUFD $0x4e, c, c; \
	VPSHUFD $0x39, d, d

// WRITE puts a pair's words in order and crypts 128 bytes with them.
#define WRITE(a, b, c, d, at) \
	VPBLENDD   $0xaa, d, a, Y12; \
	VPBLENDD   $0xaa, b, c, Y13; \
	VPBLENDD   $0xaa, a, b, Y14; \
	VPBLENDD   $0xaa, c, d, Y15; \
	VPBLENDD   $0xcc, Y13, Y12, a; \
	VPBLENDD   $0xcc, Y15, Y14, b; \
	VPBLENDD   $0xcc, Y12, Y13, c; \
	VPBLENDD   $0xcc, Y14, Y15, d; \
	VPERM2I128 $0x20, b, a, Y12; \
	VPERM2I128 $0x20, d, c, Y13; \
	VPERM2I128 $0x31, b, a, Y14; \
	VPERM2I128 $0x31, d, c, Y15; \
	VPXOR      at+0(SI), Y12, Y12; \
	VPXOR      at+32(SI), Y13, Y13; \
	VPXOR      at+64(SI), Y14, Y14; \
	VPXOR      at+96(SI), Y15, Y15; \
	VMOVDQU    Y12, at+0(DI); \
	VMOVDQU    Y13, at+32(DI); \
	VMOVDQU    Y14, at+64(DI); \
	VMOVDQU    Y15, at+96(DI)

// What is added to the number of the first pair's blocks.
#define NUMBERS(name, n) \
	DATA name+0(SB)/8, $n; \
	DATA name+8(SB)/8, $0; \
	DATA name+16(SB)/8, $n; \
	DATA name+24(SB)/8, $0; \
	GLOBL name(SB), RODATA|NOPTR, $32

NUMBERS(second<>, 2)
NUMBERS(third<>, 4)
NUMBERS(group<>, 6)

// func cryptGroups(dst, src *byte, groups uint64, state *[4][8]uint32)
TEXT ·cryptGroups(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ groups+16(FP), CX
	MOVQ state+24(FP), DX

next:
	VMOVDQU 0(DX), Y0
	VMOVDQU 32(DX), Y1
	VMOVDQU 64(DX), Y2
	VMOVDQU 96(DX), Y3
	VMOVDQA Y0, Y4
	VMOVDQA Y1, Y5
	VPADDD  second<>(SB), Y2, Y6
	VMOVDQA Y3, Y7
	VMOVDQA Y0, Y8
	VMOVDQA Y1, Y9
	VPADDD  third<>(SB), Y2, Y10
	VMOVDQA Y3, Y11
	MOVQ    $10, AX

double:
	ROUND(Y0, Y1, Y2, Y3, Y4, Y5, Y6, Y7, Y8, Y9, Y10, Y11)
	TURN(Y1, Y2, Y3)
	TURN(Y5, Y6, Y7)
	TURN(Y9, Y10, Y11)
	ROUND(Y0, Y3, Y2, Y1, Y4, Y7, Y6, Y5, Y8, Y11, Y10, Y9)
	TURN(Y3, Y2, Y1)
	TURN(Y7, Y6, Y5)
	TURN(Y11, Y10, Y9)
	DECQ AX
	JNE  double

	VPADDD 0(DX), Y0, Y0
	VPADDD 32(DX), Y1, Y1
	VPADDD 64(DX), Y2, Y2
	VPADDD 96(DX), Y3, Y3
	VPADDD 0(DX), Y4, Y4
	VPADDD 32(DX), Y5, Y5
	VPADDD 64(DX), Y6, Y6
	VPADDD second<>(SB), Y6, Y6
	VPADDD 96(DX), Y7, Y7
	VPADDD 0(DX), Y8, Y8
	VPADDD 32(DX), Y9, Y9
	VPADDD 64(DX), Y10, Y10
	VPADDD third<>(SB), Y10, Y10
	VPADDD 96(DX), Y11, Y11

	WRITE(Y0, Y1, Y2, Y3, 0)
	WRITE(Y4, Y5, Y6, Y7, 128)
	WRITE(Y8, Y9, Y10, Y11, 256)

	VMOVDQU 64(DX), Y0
	VPADDD  group<>(SB), Y0, Y0
	VMOVDQU Y0, 64(DX)
	ADDQ    $384, SI
	ADDQ    $384, DI
	DECQ    CX
	JNE     next

	VZEROUPPER
	RET
