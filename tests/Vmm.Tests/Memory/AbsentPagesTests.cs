using Iced.Intel;
using WebVm.Vmm.Cpu;
using WebVm.Vmm.Cpu.Soft.Vcpu;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Memory;
using WebVm.Vmm.Tests.Cpu.Kvm;
using WebVm.Vmm.Tests.Cpu.Soft;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace WebVm.Vmm.Tests.Memory;

public sealed unsafe class AbsentPagesTests
{
    private const int Pages = 1024;
    private const ulong Start = LongModeProcessor.MemorySize;

    [Fact]
    public void A_page_comes_when_it_is_touched_and_once()
    {
        using var memory = new GuestMemory();
        var ram = memory.CreateRegion("ram", GuestMemoryKind.Ram, Pages * 4096);
        Assert.True(memory.TryMap(ram, new(0)));
        memory.TryWrite(new(0x5008), 1);
        var source = new CountingSource();
        memory.MakeAbsent(ram, source);
        Assert.Equal(Pages, memory.AbsentPages);
        Assert.True(memory.TryRead(new(0x5000), out ulong value));
        Assert.Equal(6UL, value);
        Assert.True(memory.TryWrite(new(0x6ffc), 0x1111_2222_3333_4444));
        Assert.True(memory.TryRead(new(0x6000), out value));
        Assert.Equal(7UL, value);
        Assert.True(memory.TryRead(new(0x5008), out int old));
        Assert.Equal(0, old);
        Assert.Equal(Pages - 3, memory.AbsentPages);
        memory.FillAbsent(ram);
        Assert.Equal(0, memory.AbsentPages);
        Assert.All(source.Counts, count => Assert.Equal(1, count));
        Assert.True(memory.TryRead(new(0x7000), out value));
        Assert.Equal(0x1111_2222UL, value);
    }

    [Fact]
    public void Cleared_memory_is_zero_and_not_absent()
    {
        using var memory = new GuestMemory();
        var ram = memory.CreateRegion("ram", GuestMemoryKind.Ram, Pages * 4096);
        Assert.True(memory.TryMap(ram, new(0)));
        memory.MakeAbsent(ram, new CountingSource());
        memory.Clear(ram);
        Assert.Equal(0, memory.AbsentPages);
        Assert.True(memory.TryRead(new(0x5000), out ulong value));
        Assert.Equal(0UL, value);
    }

    [Fact]
    public void A_page_that_cannot_be_had_stays_absent()
    {
        using var memory = new GuestMemory();
        var ram = memory.CreateRegion("ram", GuestMemoryKind.Ram, Pages * 4096);
        Assert.True(memory.TryMap(ram, new(0)));
        var source = new CountingSource { Broken = true };
        memory.MakeAbsent(ram, source);
        Assert.Throws<IOException>(() => memory.TryRead(new(0), out ulong _));
        Assert.Equal(Pages, memory.AbsentPages);
        source.Broken = false;
        Assert.True(memory.TryRead(new(0), out ulong value));
        Assert.Equal(1UL, value);
    }

    [Fact]
    public void A_page_that_comes_has_not_changed()
    {
        using var memory = new GuestMemory();
        var ram = memory.CreateRegion("ram", GuestMemoryKind.Ram, Pages * 4096);
        Assert.True(memory.TryMap(ram, new(0)));
        memory.MakeAbsent(ram, new CountingSource());
        using var watch = memory.Watch(ram);
        Assert.True(memory.TryRead(new(0x5000), out ulong _));
        var bitmap = new ulong[watch.Words];
        Assert.False(watch.Collect(bitmap));
        Assert.True(memory.TryWrite(new(0x6000), 1));
        Assert.True(watch.Collect(bitmap));
        Assert.Equal(1UL << 6, bitmap[0]);
    }

    /// <summary>Processors, a device and the page walks of both race for the same pages.</summary>
    [Fact]
    public void Whoever_comes_first_brings_a_page_once()
    {
        using var machine = new LongModeProcessor();
        machine.MapBeyond();
        var memory = machine.Memory;
        var ram = memory.CreateRegion("absent", GuestMemoryKind.Ram, Pages * 4096);
        Assert.True(memory.TryMap(ram, new(Start)));
        machine.Place(a =>
        {
            var again = a.CreateLabel();
            a.mov(rsi, Start);
            a.xor(ebx, ebx);
            a.Label(ref again);
            a.add(rbx, __[rsi]);
            a.add(rsi, 4096);
            a.dec(ecx);
            a.jnz(again);
            a.hlt();
        });
        var state = stackalloc CpuState[1];
        var others = Enumerable.Range(1, 3).Select(i => new SoftVcpu(i, CpuPlace.Alone, memory, machine)).ToArray();
        for (int round = 0; round < 10; round++)
        {
            var source = new CountingSource { Slow = round == 0 };
            memory.MakeAbsent(ram, source);
            machine.Cpu->State.Activity = VcpuActivity.Active;
            machine.Cpu->State.Rip = LongModeProcessor.Code;
            machine.Gpr(1) = Pages;
            machine.Vcpu.Save(state);
            foreach (var other in others)
            {
                other.Load(state);
            }

            var threads = others.Append(machine.Vcpu).Select(vcpu => new Thread(() => vcpu.RunUntilHalt()) { IsBackground = true })
                .Append(new Thread(() => new DmaSpace(memory).TryRead(new(Start), new byte[Pages * 4096])) { IsBackground = true })
                    .ToArray();
            Array.ForEach(threads, thread => thread.Start());
            Array.ForEach(threads, thread => Assert.True(thread.Join(TimeSpan.FromMinutes(2))));
            Assert.All(source.Counts, count => Assert.Equal(1, count));
            Assert.All(others.Append(machine.Vcpu), vcpu => Assert.Equal(Pages * (Pages + 1) / 2UL, vcpu.Context->State.Gpr[3]));
            Assert.Equal(0, memory.AbsentPages);
        }

        Array.ForEach(others, other => other.Dispose());
    }

    [Fact]
    public void Code_and_page_tables_may_be_absent()
    {
        using var machine = new LongModeProcessor();
        machine.Place(a =>
        {
            a.mov(eax, 0x77);
            a.hlt();
        });
        var image = new byte[LongModeProcessor.MemorySize];
        Assert.True(machine.Memory.TryRead(new(0), image));
        machine.Memory.MakeAbsent(machine.Region, new ImageSource(image));
        machine.RunToHalt();
        Assert.Equal(0x77UL, machine.Gpr(0));
        Assert.InRange(machine.Memory.AbsentPages, 1, (long)(LongModeProcessor.MemorySize >> 12) - 3);
    }

    [Fact]
    public void Under_KVM_all_of_it_comes_at_once()
    {
        using var guest = new KvmGuest();
        var source = new CountingSource();
        guest.Memory.MakeAbsent(guest.Ram, source);
        Assert.Equal(0, guest.Memory.AbsentPages);
        Assert.All(source.Counts.Take(guest.Ram.PageCount), count => Assert.Equal(1, count));
        guest.Load("mov ax, [0x3000]\n out 0xf4, ax");
        Assert.Equal(4u, guest.RunToEnd());
        var late = guest.Memory.CreateRegion("late", GuestMemoryKind.Ram, 4096);
        guest.Memory.MakeAbsent(late, new CountingSource());
        Assert.Equal(1, guest.Memory.AbsentPages);
        Assert.True(guest.Memory.TryMap(late, new(0x100000)));
        Assert.Equal(0, guest.Memory.AbsentPages);
    }

    /// <summary>Every page begins with its number, counted from 1.</summary>
    private sealed class CountingSource : IPageSource
    {
        public int[] Counts { get; } = new int[Pages];

        public bool Slow { get; init; }

        public bool Broken { get; set; }

        public bool TryFill(ulong offset, Span<byte> page)
        {
            if (Broken)
            {
                throw new IOException("The disk is gone.");
            }

            int number = (int)(offset >> 12);
            Interlocked.Increment(ref Counts[number]);
            if (Slow && number % 64 == 0)
            {
                Thread.Sleep(2);
            }

            return BitConverter.TryWriteBytes(page, (ulong)number + 1);
        }
    }

    private sealed class ImageSource(byte[] image) : IPageSource
    {
        public bool TryFill(ulong offset, Span<byte> page)
        {
            var source = image.AsSpan((int)offset, page.Length);
            if (!source.ContainsAnyExcept((byte)0))
            {
                return false;
            }

            source.CopyTo(page);
            return true;
        }
    }
}
