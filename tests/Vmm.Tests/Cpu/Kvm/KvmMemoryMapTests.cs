using WebVm.Vmm.Memory;
using Xunit;

namespace WebVm.Vmm.Tests.Cpu.Kvm;

/// <summary>Memory under several names, and remapping under running vCPUs, with KVM's memory slots.</summary>
public sealed class KvmMemoryMapTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(2);

    /// <summary>Code at ffff:0010 is at 100000.</summary>
    private const uint Alias = 0x100000;

    [Fact]
    public void A_store_by_one_name_is_seen_in_code_run_by_the_other()
    {
        using var guest = new KvmGuest();
        Assert.True(guest.Memory.TryMap(new GuestMapping(new(Alias), guest.Ram, 0x40000, 0x1000, BackingKind.Memory)));
        // mov al, 0; retf
        guest.Write(0x40000, 0xb0, 0x00, 0xcb);
        guest.Load("""
            mov ax, 0xffff
            mov es, ax
            mov ax, 0x4000
            mov ds, ax
            mov cx, 50
            xor bx, bx
            again:
            mov [es:0x11], cl
            call 0x4000:0
            xor ah, ah
            add bx, ax
            mov [1], ch
            mov byte [1], 1
            call 0xffff:0x10
            xor ah, ah
            add bx, ax
            loop again
            mov ax, bx
            out 0xf4, ax
            """);
        Assert.Equal((50u * 51 / 2) + 50, guest.RunToEnd());
    }

    [Fact]
    public void Writes_by_every_name_are_dirty_and_none_is_lost_when_a_name_goes()
    {
        using var guest = new KvmGuest();
        Assert.True(guest.Memory.TryMap(new GuestMapping(new(Alias), guest.Ram, 0x43000, 0x4000, BackingKind.Memory)));
        using var watch = guest.Memory.Watch(guest.Ram);
        using var second = guest.Memory.Watch(guest.Ram);
        guest.Load("""
            mov ax, 0xffff
            mov es, ax
            mov byte [es:0x10], 1
            mov byte [es:0x3010], 1
            mov ax, 0x5000
            mov ds, ax
            mov byte [0], 1
            out 0xf4, al
            """);
        Look(watch);
        Look(second);
        guest.RunToEnd();
        guest.Memory.Remap(new(Alias), 0x4000);
        Assert.Equal([0x43, 0x46, 0x50], Look(watch));
        Assert.Empty(Look(watch));
        Assert.Equal([0x43, 0x46, 0x50], Look(second));
    }

    [Fact]
    public void Stores_to_flash_go_to_the_bus_and_it_executes_what_it_holds()
    {
        using var guest = new KvmGuest();
        var flash = guest.Memory.CreateRegion("flash", GuestMemoryKind.Flash, 0x1000);
        Assert.True(guest.Memory.TryMap(flash, new(Alias)));
        // mov byte [es:0x10], 0x99; mov al, 0x55; out 0xf4, al
        guest.Write(Alias, 0x26, 0xc6, 0x06, 0x10, 0x00, 0x99, 0xb0, 0x55, 0xe6, 0xf4);
        guest.Load("mov ax, 0xffff\n mov es, ax\n jmp 0xffff:0x10");
        Assert.Equal(0x55u, guest.RunToEnd());
        Assert.Equal("write 100000 1 99", Assert.Single(guest.Bus.Accesses));
        Assert.Equal(0x26, guest.Read<byte>(Alias));
    }

    /// <summary>
    /// As <see cref="Soft.AliasTests.A_remapping_is_over_when_the_call_returns"/>; the mapping is cut out of one that the code runs in,
    /// too.
    /// </summary>
    [Fact]
    public void A_remapping_is_over_when_the_call_returns()
    {
        using var guest = new KvmGuest(vcpus: 2);
        guest.Bus.Quiet = true;
        var memory = guest.Memory;
        var pages = Enumerable.Range(0, 2).Select(i => memory.CreateRegion($"page{i}", GuestMemoryKind.Ram, 0x1000)).ToArray();
        for (uint i = 0; i < 2; i++)
        {
            Assert.True(memory.TryMap(pages[i], new(0x200000 + (i << 12))));
            guest.Write(0x200000 + (i << 12), 0xb0, 0x01, 0xcb);
        }

        Show(0);
        guest.Load("""
            mov ax, 0x4000
            mov ds, ax
            again:
            cmp byte [1], 1
            jne spoilt
            call 0x4000:0
            cmp al, 1
            jne spoilt
            inc dword [cs:0x3000]
            jmp again
            spoilt:
            mov byte [cs:0x3004], 1
            hang:
            jmp hang
            """);
        // The second waits for its start inside the kernel, and is called out all the same.
        var threads = guest.Vcpus.Select(vcpu => new Thread(() => vcpu.Run()) { IsBackground = true }).ToArray();
        Array.ForEach(threads, thread => thread.Start());
        for (int round = 0; round < 100; round++)
        {
            int before = round & 1;
            Show(before ^ 1);
            guest.Write(0x200001 + ((uint)before << 12), 0xbd);
            if (round % 8 == 0)
            {
                uint seen = guest.Read<uint>(0x3000);
                Assert.True(
                    SpinWait.SpinUntil(() => guest.Read<uint>(0x3000) != seen || guest.Read<byte>(0x3004) != 0, s_patience),
                    guest.Vcpu.Failure);
            }

            Assert.Equal(0, guest.Read<byte>(0x3004));
            guest.Write(0x200001 + ((uint)before << 12), 0x01);
        }

        Array.ForEach(guest.Vcpus, vcpu => vcpu.Kick());
        Array.ForEach(threads, thread => Assert.True(thread.Join(s_patience)));
        Assert.All(guest.Vcpus, vcpu => Assert.Null(vcpu.Failure));

        void Show(int page) => memory.Remap(new(0x40000), 0x1000, new GuestMapping(new(0x40000), pages[page]));
    }

    private static List<int> Look(PageWatch watch)
    {
        var bitmap = new ulong[watch.Words];
        watch.Collect(bitmap);
        return [.. Enumerable.Range(0, watch.Region.PageCount).Where(page => (bitmap[page / 64] >> (page & 63) & 1) != 0)];
    }
}
