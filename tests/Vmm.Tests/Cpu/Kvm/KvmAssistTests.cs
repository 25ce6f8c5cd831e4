using WebVm.Vmm.Cpu;
using Xunit;

namespace WebVm.Vmm.Tests.Cpu.Kvm;

/// <summary>
/// Instructions that incomplete KVMs refuse to emulate have their effect all the same. Where KVM executes them itself the tests hold as well.
/// </summary>
public sealed class KvmAssistTests
{
    [Fact]
    public void AnInstructionThatKvmRefusesTakesEffect()
    {
        using var guest = new KvmGuest();
        guest.Load("""
            mov bx, 0x0f0f
            popcnt ax, bx
            out 0xf4, al
            """);
        Assert.Equal(8u, guest.RunToEnd());
    }

    [Fact]
    public void ABreakpointReachesItsHandlerAndReturns()
    {
        using var guest = new KvmGuest();
        guest.Load("""
            mov word [3 * 4], handler
            mov word [3 * 4 + 2], 0
            mov al, 1
            int3
            add al, 1
            out 0xf4, al
            handler:
            add al, 0x10
            iret
            """);
        Assert.Equal(0x12u, guest.RunToEnd());
    }

    [Fact]
    public void AnAssistedInstructionFaultsAsOnAProcessor()
    {
        using var guest = new KvmGuest();
        guest.Load("""
            mov word [6 * 4], handler
            mov word [6 * 4 + 2], 0
            mov al, 1
            ud2
            handler:
            pop bx
            cmp byte [bx], 0x0f
            setz al
            out 0xf4, al
            """);
        Assert.Equal(1u, guest.RunToEnd());
    }
}
