using Iced.Intel;
using WebVm.Vmm.Cpu;
using WebVm.Vmm.Cpu.Soft.Vcpu;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Memory;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace WebVm.Vmm.Tests.Cpu.Soft;

/// <summary>Memory under several names, and names that change what they mean while processors run.</summary>
public sealed unsafe class AliasTests
{
    private const ulong Page = 0x60_0000;
    private const ulong Alias = LongModeProcessor.MemorySize;
    private const ulong Results = 0x70_0000;
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(2);

    [Fact]
    public void A_store_by_one_name_is_seen_in_code_run_by_the_other()
    {
        using var machine = WithAlias();
        // Two functions in the page, each called by the name that the other is not written by.
        machine.Place([0xb0, 0x00, 0xc3], Page);
        machine.Place([0xb0, 0x00, 0xc3], Page + 0x100);
        machine.Place(a =>
        {
            var again = a.CreateLabel();
            a.mov(ecx, 200);
            a.xor(ebx, ebx);
            a.mov(rsi, Page);
            a.mov(rdi, Alias);
            a.lea(rbp, __[rdi + 0x100]);
            a.Label(ref again);
            a.mov(__byte_ptr[rdi + 1], cl);
            a.call(rsi);
            a.movzx(eax, al);
            a.add(ebx, eax);
            a.mov(__byte_ptr[rsi + 0x101], cl);
            a.call(rbp);
            a.movzx(eax, al);
            a.add(ebx, eax);
            a.loop(again);
            a.hlt();
        });
        machine.RunToHalt();
        Assert.Equal(200UL * 201, machine.Gpr(3));
    }

    [Fact]
    public void Code_that_changes_itself_by_its_other_name_goes_on_with_what_is_new()
    {
        using var machine = WithAlias();
        // mov byte [rdi+5], 0x22; mov al, 0x11; hlt: the store is to the immediate of the second.
        byte[] code = [0xc6, 0x47, 0x05, 0x22, 0xb0, 0x11, 0xf4];
        machine.Place(code, Page);
        machine.Gpr(7) = Alias;
        machine.Cpu->State.Rip = Page;
        machine.RunToHalt();
        Assert.Equal(0x22UL, machine.Gpr(0) & 0xff);

        machine.Place(code, Page);
        machine.Gpr(7) = Page;
        machine.Cpu->State.Rip = Alias;
        machine.Cpu->State.Activity = VcpuActivity.Active;
        machine.RunToHalt();
        Assert.Equal(0x22UL, machine.Gpr(0) & 0xff);
    }

    [Fact]
    public void Stores_by_every_name_make_the_page_dirty()
    {
        using var machine = WithAlias();
        using var watch = machine.Memory.Watch(machine.Region);
        machine.Place(a =>
        {
            a.mov(rdi, Alias);
            a.mov(__dword_ptr[rdi], 1);
            a.hlt();
            a.mov(__dword_ptr[rdi + 4], 1);
            a.hlt();
        });
        var bitmap = new ulong[watch.Words];
        for (int round = 0; round < 2; round++)
        {
            watch.Collect(bitmap);
            Array.Clear(bitmap);
            machine.Cpu->State.Activity = VcpuActivity.Active;
            machine.RunToHalt();
            watch.Collect(bitmap);
            Assert.Equal(1UL << (int)((Page >> 12) & 63), bitmap[Page >> 18]);
        }
    }

    [Fact]
    public void Paging_structures_may_lie_anywhere()
    {
        using var machine = new LongModeProcessor();
        machine.MapBeyond();
        // The page directory is moved to a second name of its page, and marks accessed pages there.
        Assert.True(
            machine.Memory.TryMap(new GuestMapping(new(Alias), machine.Region, LongModeProcessor.PageTables, 0x3000, BackingKind.Memory)));
        machine.Write(Alias + 0x1000, (Alias + 0x2000) | 7);
        machine.Write(Alias, (Alias + 0x1000) | 7);
        machine.Cpu->State.Cr3 = Alias;
        machine.Write(Alias + 0x2000 + (3 * 8), (3UL << 21) | 0x87);
        machine.Vcpu.StateReplaced();
        machine.Place(a =>
        {
            a.mov(__dword_ptr[3 << 21], 1);
            a.hlt();
        });
        machine.RunToHalt();
        Assert.Equal((3UL << 21) | 0xe7, machine.Read<ulong>(LongModeProcessor.PageTables + 0x2000 + (3 * 8)));
    }

    /// <summary>
    /// What a processor reads and executes after a remapping is never what was there before: two processors go by a page whose former
    /// contents are spoilt as soon as the remapping is over.
    /// </summary>
    [Fact]
    public void A_remapping_is_over_when_the_call_returns()
    {
        using var machine = new LongModeProcessor();
        machine.MapBeyond();
        var memory = machine.Memory;
        var pages = Enumerable.Range(0, 2).Select(i => memory.CreateRegion($"page{i}", GuestMemoryKind.Ram, 4096)).ToArray();
        for (ulong i = 0; i < 2; i++)
        {
            Assert.True(memory.TryMap(pages[i], new(Alias + 0x10_0000 + (i << 12))));
        }

        // mov al, 1; ret. Spoilt: al is 0xbd.
        byte[] good = [0xb0, 0x01, 0xc3];
        machine.Place(good, Alias + 0x10_0000);
        machine.Place(good, Alias + 0x10_1000);
        memory.Remap(new(Alias), 4096, new GuestMapping(new(Alias), pages[0]));
        machine.Place(a =>
        {
            var again = a.CreateLabel();
            var spoilt = a.CreateLabel();
            a.mov(rsi, Alias);
            a.Label(ref again);
            a.cmp(__byte_ptr[rsi + 1], 1);
            a.jne(spoilt);
            a.call(rsi);
            a.cmp(al, 1);
            a.jne(spoilt);
            a.inc(__dword_ptr[rdi]);
            a.jmp(again);
            a.Label(ref spoilt);
            a.mov(__dword_ptr[rdi + 4], 1);
            a.hlt();
        });
        using var second = new SoftVcpu(1, CpuPlace.Alone, memory, machine);
        machine.Dropper.Add(second);
        var state = stackalloc CpuState[1];
        machine.Vcpu.Save(state);
        state->Gpr[4] = LongModeProcessor.Stack - 0x1000;
        state->Gpr[7] = Results + 0x1000;
        second.Load(state);
        machine.Gpr(7) = Results;
        var threads = new[] { machine.Vcpu, second }.Select(vcpu => new Thread(() => vcpu.RunUntilHalt()) { IsBackground = true })
            .ToArray();
        Array.ForEach(threads, thread => thread.Start());
        for (int round = 0; round < 400; round++)
        {
            int before = round & 1, after = before ^ 1;
            memory.Remap(new(Alias), 4096, new GuestMapping(new(Alias), pages[after]));
            memory.TryWrite(new(Alias + 0x10_0001 + ((ulong)before << 12)), (byte)0xbd);
            if (round % 16 == 0)
            {
                uint seen = machine.Read<uint>(Results), other = machine.Read<uint>(Results + 0x1000);
                Assert.True(
                    SpinWait.SpinUntil(
                        () => Spoilt() || (machine.Read<uint>(Results) != seen && machine.Read<uint>(Results + 0x1000) != other),
                        s_patience));
            }

            Assert.False(Spoilt(), $"in round {round}");
            memory.TryWrite(new(Alias + 0x10_0001 + ((ulong)before << 12)), (byte)1);
        }

        machine.Vcpu.Kick();
        second.Kick();
        Array.ForEach(threads, thread => Assert.True(thread.Join(s_patience)));
        Assert.False(Spoilt());

        bool Spoilt() => machine.Read<uint>(Results + 4) != 0 || machine.Read<uint>(Results + 0x1004) != 0;
    }

    [Fact]
    public void A_processor_that_remaps_by_a_register_sees_it_in_its_next_instruction()
    {
        using var machine = WithAlias();
        var other = machine.Memory.CreateRegion("other", GuestMemoryKind.Ram, 4096);
        machine.OnMmioWrite = () => machine.Memory.Remap(new(Alias), 4096, new GuestMapping(new(Alias), other));
        machine.Write(Page, 1u);
        machine.Place(a =>
        {
            a.mov(rsi, Alias);
            a.mov(eax, __dword_ptr[rsi]);
            a.mov(__dword_ptr[rsi + 0x20_0000], eax);
            a.mov(ebx, __dword_ptr[rsi]);
            a.hlt();
        });
        machine.RunToHalt();
        Assert.Equal(1UL, machine.Gpr(0));
        Assert.Equal(0UL, machine.Gpr(3));
    }

    [Fact]
    public void A_remapping_leaves_other_translations_alone()
    {
        using var machine = WithAlias();
        long flushes = machine.Vcpu.Tlb.FullFlushes;
        machine.Place(a =>
        {
            a.mov(rsi, Alias);
            a.mov(eax, __dword_ptr[rsi]);
            a.mov(ebx, __dword_ptr[Results]);
            a.hlt();
            a.mov(eax, __dword_ptr[rsi]);
            a.mov(ebx, __dword_ptr[Results]);
            a.hlt();
        });
        machine.Write(Results, 1u);
        machine.RunToHalt();
        // The table says something else by now, which only a walk would find.
        machine.Write(LongModeProcessor.PageTables + 0x2000 + (Results >> 21 << 3), 0UL);
        machine.Memory.Remap(new(Alias), 4096);
        machine.Cpu->State.Activity = VcpuActivity.Active;
        machine.RunToHalt();
        Assert.Equal(0x5566_7788UL, machine.Gpr(0));
        Assert.Equal(1UL, machine.Gpr(3));
        Assert.Equal(flushes, machine.Vcpu.Tlb.FullFlushes);
    }

    /// <summary>The page of <see cref="Page"/> is at <see cref="Alias"/> too.</summary>
    private static LongModeProcessor WithAlias()
    {
        var machine = new LongModeProcessor();
        machine.MapBeyond();
        Assert.True(machine.Memory.TryMap(new GuestMapping(new(Alias), machine.Region, Page, 4096, BackingKind.Memory)));
        return machine;
    }
}
