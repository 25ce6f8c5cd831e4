using System.Runtime.Intrinsics;
using Iced.Intel;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Semantics.Vector;

namespace WebVm.Vmm.Cpu.Soft.Decoding;

internal static unsafe partial class VectorSelector
{
    /// <summary>The forms that are frequent and simple enough to have handlers in C#.</summary>
    private static bool TrySelectDirect(in Instruction instruction, Operation* operation)
    {
        delegate*<CpuContext*, Operation*, Operation*> handler = instruction.Op1Kind == OpKind.Memory
            ? DirectLoad(in instruction)
            : instruction.Op0Kind == OpKind.Memory
                ? DirectStore(in instruction)
                : DirectRegisters(in instruction);
        if (handler == null)
        {
            return false;
        }

        NameRegisters(in instruction, operation, memory: true);
        if (instruction.Code is Code.Movhps_xmm_m64 or Code.Movhpd_xmm_m64)
        {
            // The high half's slot.
            operation->Reg0++;
        }

        operation->Handler = handler;
        return true;
    }

    private static delegate*<CpuContext*, Operation*, Operation*> DirectLoad(in Instruction instruction)
    {
        switch (instruction.Code)
        {
            case Code.Movups_xmm_xmmm128 or Code.Movupd_xmm_xmmm128 or Code.Movdqu_xmm_xmmm128 or Code.Lddqu_xmm_m128:
                return &DirectMoves.Load<SseAccess, Vector128<byte>>;
            case Code.Movaps_xmm_xmmm128 or Code.Movapd_xmm_xmmm128 or Code.Movdqa_xmm_xmmm128 or Code.Movntdqa_xmm_m128:
                return &DirectMoves.LoadAligned<SseAccess, Vector128<byte>>;
            case Code.Movq_xmm_xmmm64 or Code.Movq_xmm_rm64 or Code.Movsd_xmm_xmmm64:
                return &DirectMoves.Load<SseAccess, ulong>;
            case Code.Movd_xmm_rm32 or Code.Movss_xmm_xmmm32:
                return &DirectMoves.Load<SseAccess, uint>;
            case Code.Movlps_xmm_m64 or Code.Movlpd_xmm_m64 or Code.Movhps_xmm_m64 or Code.Movhpd_xmm_m64:
                return &DirectMoves.LoadHalf;
            case Code.VEX_Vmovups_xmm_xmmm128 or Code.VEX_Vmovupd_xmm_xmmm128 or Code.VEX_Vmovdqu_xmm_xmmm128 or Code.VEX_Vlddqu_xmm_m128:
                return &DirectMoves.Load<AvxAccess, Vector128<byte>>;
            case Code.VEX_Vmovups_ymm_ymmm256 or Code.VEX_Vmovupd_ymm_ymmm256 or Code.VEX_Vmovdqu_ymm_ymmm256 or Code.VEX_Vlddqu_ymm_m256:
                return &DirectMoves.Load<AvxAccess, Vector256<byte>>;
            case Code.VEX_Vmovaps_xmm_xmmm128 or Code.VEX_Vmovapd_xmm_xmmm128 or Code.VEX_Vmovdqa_xmm_xmmm128:
                return &DirectMoves.LoadAligned<AvxAccess, Vector128<byte>>;
            case Code.VEX_Vmovaps_ymm_ymmm256 or Code.VEX_Vmovapd_ymm_ymmm256 or Code.VEX_Vmovdqa_ymm_ymmm256:
                return &DirectMoves.LoadAligned<AvxAccess, Vector256<byte>>;
            case Code.VEX_Vmovq_xmm_xmmm64 or Code.VEX_Vmovq_xmm_rm64:
                return &DirectMoves.Load<AvxAccess, ulong>;
            case Code.VEX_Vmovd_xmm_rm32:
                return &DirectMoves.Load<AvxAccess, uint>;
            case Code.Pxor_xmm_xmmm128 or Code.Xorps_xmm_xmmm128 or Code.Xorpd_xmm_xmmm128:
                return &DirectLogic.Memory<VectorXor>;
            case Code.Pand_xmm_xmmm128 or Code.Andps_xmm_xmmm128 or Code.Andpd_xmm_xmmm128:
                return &DirectLogic.Memory<VectorAnd>;
            case Code.Pandn_xmm_xmmm128 or Code.Andnps_xmm_xmmm128 or Code.Andnpd_xmm_xmmm128:
                return &DirectLogic.Memory<VectorAndNot>;
            case Code.Por_xmm_xmmm128 or Code.Orps_xmm_xmmm128 or Code.Orpd_xmm_xmmm128:
                return &DirectLogic.Memory<VectorOr>;
            case Code.Pcmpeqb_xmm_xmmm128:
                return &DirectLogic.Memory<VectorEqualBytes>;
            case Code.Pminub_xmm_xmmm128:
                return &DirectLogic.Memory<VectorMinimumBytes>;
            default:
                return null;
        }
    }

    private static delegate*<CpuContext*, Operation*, Operation*> DirectStore(in Instruction instruction)
    {
        switch (instruction.Code)
        {
            case Code.Movups_xmmm128_xmm or Code.Movupd_xmmm128_xmm or Code.Movdqu_xmmm128_xmm:
                return &DirectMoves.Store<SseAccess, Vector128<byte>>;
            case Code.Movaps_xmmm128_xmm or Code.Movapd_xmmm128_xmm or Code.Movdqa_xmmm128_xmm
                or Code.Movntps_m128_xmm or Code.Movntpd_m128_xmm or Code.Movntdq_m128_xmm:
                return &DirectMoves.StoreAligned<SseAccess, Vector128<byte>>;
            case Code.Movq_xmmm64_xmm or Code.Movq_rm64_xmm or Code.Movsd_xmmm64_xmm or Code.Movlps_m64_xmm or Code.Movlpd_m64_xmm:
                return &DirectMoves.Store<SseAccess, ulong>;
            case Code.Movd_rm32_xmm or Code.Movss_xmmm32_xmm:
                return &DirectMoves.Store<SseAccess, uint>;
            case Code.VEX_Vmovups_xmmm128_xmm or Code.VEX_Vmovupd_xmmm128_xmm or Code.VEX_Vmovdqu_xmmm128_xmm:
                return &DirectMoves.Store<AvxAccess, Vector128<byte>>;
            case Code.VEX_Vmovups_ymmm256_ymm or Code.VEX_Vmovupd_ymmm256_ymm or Code.VEX_Vmovdqu_ymmm256_ymm:
                return &DirectMoves.Store<AvxAccess, Vector256<byte>>;
            case Code.VEX_Vmovaps_xmmm128_xmm or Code.VEX_Vmovapd_xmmm128_xmm or Code.VEX_Vmovdqa_xmmm128_xmm:
                return &DirectMoves.StoreAligned<AvxAccess, Vector128<byte>>;
            case Code.VEX_Vmovaps_ymmm256_ymm or Code.VEX_Vmovapd_ymmm256_ymm or Code.VEX_Vmovdqa_ymmm256_ymm or Code.VEX_Vmovntdq_m256_ymm:
                return &DirectMoves.StoreAligned<AvxAccess, Vector256<byte>>;
            case Code.VEX_Vmovq_xmmm64_xmm or Code.VEX_Vmovq_rm64_xmm:
                return &DirectMoves.Store<AvxAccess, ulong>;
            case Code.VEX_Vmovd_rm32_xmm:
                return &DirectMoves.Store<AvxAccess, uint>;
            default:
                return null;
        }
    }

    private static delegate*<CpuContext*, Operation*, Operation*> DirectRegisters(in Instruction instruction)
    {
        switch (instruction.Code)
        {
            case Code.Movups_xmm_xmmm128 or Code.Movupd_xmm_xmmm128 or Code.Movdqu_xmm_xmmm128
                or Code.Movaps_xmm_xmmm128 or Code.Movapd_xmm_xmmm128 or Code.Movdqa_xmm_xmmm128
                or Code.Movups_xmmm128_xmm or Code.Movupd_xmmm128_xmm or Code.Movdqu_xmmm128_xmm
                or Code.Movaps_xmmm128_xmm or Code.Movapd_xmmm128_xmm or Code.Movdqa_xmmm128_xmm:
                return &DirectMoves.Copy<SseAccess, Vector128<byte>>;
            case Code.VEX_Vmovups_ymm_ymmm256 or Code.VEX_Vmovaps_ymm_ymmm256 or Code.VEX_Vmovdqu_ymm_ymmm256
                or Code.VEX_Vmovdqa_ymm_ymmm256:
                return &DirectMoves.Copy<AvxAccess, Vector256<byte>>;
            case Code.VEX_Vmovups_xmm_xmmm128 or Code.VEX_Vmovaps_xmm_xmmm128 or Code.VEX_Vmovdqu_xmm_xmmm128
                or Code.VEX_Vmovdqa_xmm_xmmm128:
                return &DirectMoves.Copy<AvxAccess, Vector128<byte>>;
            case Code.Movd_xmm_rm32:
                return &DirectMoves.FromGeneral<SseAccess, uint>;
            case Code.Movq_xmm_rm64 or Code.Movq_xmm_xmmm64:
                return &DirectMoves.FromGeneral<SseAccess, ulong>;
            case Code.VEX_Vmovd_xmm_rm32:
                return &DirectMoves.FromGeneral<AvxAccess, uint>;
            case Code.VEX_Vmovq_xmm_rm64 or Code.VEX_Vmovq_xmm_xmmm64:
                return &DirectMoves.FromGeneral<AvxAccess, ulong>;
            case Code.Movd_rm32_xmm:
                return &DirectMoves.ToGeneral<SseAccess, uint>;
            case Code.Movq_rm64_xmm:
                return &DirectMoves.ToGeneral<SseAccess, ulong>;
            case Code.VEX_Vmovd_rm32_xmm:
                return &DirectMoves.ToGeneral<AvxAccess, uint>;
            case Code.VEX_Vmovq_rm64_xmm:
                return &DirectMoves.ToGeneral<AvxAccess, ulong>;
            case Code.Pxor_xmm_xmmm128 or Code.Xorps_xmm_xmmm128 or Code.Xorpd_xmm_xmmm128:
                return &DirectLogic.Registers<VectorXor>;
            case Code.Pand_xmm_xmmm128 or Code.Andps_xmm_xmmm128 or Code.Andpd_xmm_xmmm128:
                return &DirectLogic.Registers<VectorAnd>;
            case Code.Pandn_xmm_xmmm128 or Code.Andnps_xmm_xmmm128 or Code.Andnpd_xmm_xmmm128:
                return &DirectLogic.Registers<VectorAndNot>;
            case Code.Por_xmm_xmmm128 or Code.Orps_xmm_xmmm128 or Code.Orpd_xmm_xmmm128:
                return &DirectLogic.Registers<VectorOr>;
            case Code.Pcmpeqb_xmm_xmmm128:
                return &DirectLogic.Registers<VectorEqualBytes>;
            case Code.Pminub_xmm_xmmm128:
                return &DirectLogic.Registers<VectorMinimumBytes>;
            case Code.Pmovmskb_r32_xmm or Code.Pmovmskb_r64_xmm:
                return &DirectLogic.SignMask;
            default:
                return null;
        }
    }
}
