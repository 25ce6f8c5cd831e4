using WebVm.Vmm.Cpu;
using Xunit;

namespace WebVm.Vmm.Tests.Cpu.Kvm;

/// <summary>
/// Instructions that incomplete KVMs refuse to emulate have their effect all the same. Where KVM executes them itself the tests hold as
/// well.
/// </summary>
public sealed class KvmAssistTests
{
    [Fact]
    public void An_instruction_that_KVM_refuses_takes_effect()
    {
        using var guest = new KvmGuest();
        guest.Load("""
            mov bx, 0x0f0f
            xor ax, ax
            mov cx, 20
            again:
            popcnt dx, bx
            add ax, dx
            loop again
            out 0xf4, al
            """);
        Assert.Equal(160u, guest.RunToEnd());
    }

    [Fact]
    public void A_breakpoint_reaches_its_handler_and_returns()
    {
        using var guest = new KvmGuest();
        guest.Load("""
            mov word [3 * 4], handler
            mov word [3 * 4 + 2], 0
            mov al, 1
            popcnt bx, ax
            int3
            add al, 1
            int3
            add al, 1
            out 0xf4, al
            handler:
            add al, 0x10
            iret
            """);
        Assert.Equal(0x23u, guest.RunToEnd());
    }

    [Fact]
    public void An_assisted_instruction_faults_as_on_a_processor()
    {
        using var guest = new KvmGuest();
        guest.Load("""
            mov word [6 * 4], handler
            mov word [6 * 4 + 2], 0
            mov cl, 1
            popcnt bx, cx
            ud2
            handler:
            pop bx
            cmp byte [bx], 0x0f
            setz al
            popcnt bx, cx
            add al, bl
            out 0xf4, al
            """);
        Assert.Equal(2u, guest.RunToEnd());
    }

    [Fact]
    public void Vector_registers_come_back_from_an_assist()
    {
        using var guest = new KvmGuest();
        guest.Load("""
            mov eax, cr4
            or eax, 0x600
            mov cr4, eax
            mov dword [0x2000], 0x11223344
            mov dword [0x2004], 0x55667788
            mov dword [0x2008], 0x99aabbcc
            mov dword [0x200c], 0xddeeff00
            movdqu xmm1, [0x2000]
            pxor xmm0, xmm0
            paddd xmm0, xmm1
            popcnt cx, bx
            paddd xmm0, xmm1
            movdqu [0x2010], xmm0
            out 0xf4, al
            """);
        guest.RunToEnd();
        Assert.Equal(0x22446688u, guest.Read<uint>(0x2010));
        Assert.Equal(0xbbddfe00u, guest.Read<uint>(0x201c));
    }
}
