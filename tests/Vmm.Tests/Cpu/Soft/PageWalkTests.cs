using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Paging;
using WebVm.Vmm.Cpu.State;
using Xunit;

namespace WebVm.Vmm.Tests.Cpu.Soft;

/// <summary>Translation against the rules of SDM Vol. 3A chapter 4, written down a second time and as simply as possible.</summary>
public sealed unsafe class PageWalkTests
{
    private const ulong Linear = 0x0000_0123_4567_8abc;

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Four_level_walks_follow_the_rules(int largeAt)
    {
        using var machine = new LongModeProcessor();
        var random = new System.Random(42 + largeAt);
        for (int round = 0; round < 4000; round++)
        {
            ulong[] entries = BuildTables(machine, random, largeAt);
            machine.Cpu->State.Cr0 = 0x8000_0033 | (random.Next(2) == 0 ? Cr0.Wp : 0);
            machine.Cpu->State.Cr4 = 0x20 | (random.Next(2) == 0 ? Cr4.Smep : 0) | (random.Next(2) == 0 ? Cr4.Smap : 0);
            machine.Cpu->State.Efer = 0x501 | (random.Next(2) == 0 ? Efer.Nxe : 0);
            var access = (AccessKind)random.Next(3);
            bool user = random.Next(2) == 0;
            bool open = random.Next(2) == 0;
            var privilege = user
                ? Privilege.User
                : (machine.Cpu->State.Cr4 & Cr4.Smap) != 0 && !open ? Privilege.Supervisor : Privilege.SupervisorOpen;
            bool walked = PageWalk.TryWalk(machine.Cpu, machine.Memory, new(Linear), access, privilege, out var translation);
            uint? expected = Expected(machine.Cpu, entries, largeAt, access, user, privilege);
            string seen =
                $"round {round}: {string.Join(' ', entries.Select(e => e.ToString("x")))} {access} {privilege} cr0 {machine.Cpu->State.Cr0:x} cr4 {machine.Cpu->State.Cr4:x} efer {machine.Cpu->State.Efer:x}";
            Assert.True(walked == (expected is null), $"{seen}: code {translation.ErrorCode:x}, expected {expected:x}");
            if (!walked)
            {
                Assert.True(expected == translation.ErrorCode, $"{seen}: code {translation.ErrorCode:x}, expected {expected:x}");
                continue;
            }

            ulong leaf = machine.Read<ulong>(Cell(entries.Length - 1));
            Assert.True((leaf & 0x20) != 0, seen);
            Assert.True(access != AccessKind.Write || (leaf & 0x40) != 0, seen);
            int shift = 39 - (9 * (entries.Length - 1));
            Assert.Equal(
                (entries[^1] & 0xff_ffff_f000 & ~((1UL << shift) - 1)) | (Linear & ((1UL << shift) - 1)), translation.Physical.Value);
        }
    }

    [Fact]
    public void Five_levels_add_one_table()
    {
        using var machine = new LongModeProcessor();
        machine.Cpu->State.Cr4 |= Cr4.La57;
        machine.Write(0x5_0000UL, LongModeProcessor.PageTables | 7);
        machine.Cpu->State.Cr3 = 0x5_0000;
        machine.Vcpu.StateReplaced();
        Assert.True(
            PageWalk.TryWalk(
                machine.Cpu, machine.Memory, new(LongModeProcessor.Code), AccessKind.Read, Privilege.User, out var translation));
        Assert.Equal(LongModeProcessor.Code, translation.Physical.Value);
        Assert.True(SlowAccess.IsCanonical(machine.Cpu, 0x00ff_ffff_ffff_ffff));
        Assert.False(PageWalk.TryWalk(machine.Cpu, machine.Memory, new(1UL << 48), AccessKind.Read, Privilege.User, out _));
    }

    [Fact]
    public void Pae_walks_from_loaded_pointers()
    {
        using var machine = new LongModeProcessor();
        machine.Cpu->State.Efer = Efer.Nxe;
        machine.Cpu->State.Cr4 = Cr4.Pae;
        machine.Cpu->State.Pdpte[3] = 0x5_1001;
        machine.Write(0x5_1000UL + (0x1ff * 8), 0x5_2007UL);
        machine.Write(0x5_2000UL + (0x1ff * 8), 0x8000_0000_0060_0007UL);
        Assert.True(PageWalk.TryWalk(machine.Cpu, machine.Memory, new(0xffff_f123), AccessKind.Read, Privilege.User, out var translation));
        Assert.Equal(0x60_0123UL, translation.Physical.Value);
        Assert.False(PageWalk.TryWalk(machine.Cpu, machine.Memory, new(0xffff_f123), AccessKind.Fetch, Privilege.User, out translation));
        Assert.Equal(0x15u, translation.ErrorCode);
        Assert.False(PageWalk.TryWalk(machine.Cpu, machine.Memory, new(0), AccessKind.Write, Privilege.Supervisor, out translation));
        Assert.Equal(2u, translation.ErrorCode);
    }

    [Fact]
    public void Thirty_two_bit_walks_know_large_pages()
    {
        using var machine = new LongModeProcessor();
        machine.Cpu->State.Efer = 0;
        machine.Cpu->State.Cr4 = Cr4.Pse;
        machine.Cpu->State.Cr3 = 0x5_0000;
        machine.Write(0x5_0000UL + (1 * 4), 0x5_1007u);
        machine.Write(0x5_1000UL + (5 * 4), 0x60_0005u);
        // 4 MiB page at 0x12_0080_0000: bits 39:32 in bits 20:13.
        machine.Write(0x5_0000UL + (2 * 4), 0x0080_0087u | (0x12u << 13));
        Assert.True(PageWalk.TryWalk(machine.Cpu, machine.Memory, new(0x0040_5678), AccessKind.Read, Privilege.User, out var translation));
        Assert.Equal(0x60_0678UL, translation.Physical.Value);
        Assert.False(PageWalk.TryWalk(machine.Cpu, machine.Memory, new(0x0040_5678), AccessKind.Write, Privilege.User, out translation));
        Assert.Equal(7u, translation.ErrorCode);
        Assert.True(PageWalk.TryWalk(machine.Cpu, machine.Memory, new(0x0080_1234), AccessKind.Write, Privilege.User, out translation));
        Assert.Equal(0x12_0080_1234UL, translation.Physical.Value);
        Assert.Equal(0xe7u, machine.Read<uint>(0x5_0000UL + (2 * 4)) & 0xff);
    }

    private static ulong Cell(int level) => 0x10_0000UL + ((ulong)level * 0x1000) + (((Linear >> (39 - (9 * level))) & 0x1ff) * 8);

    private static ulong[] BuildTables(LongModeProcessor machine, System.Random random, int largeAt)
    {
        // Level 0 is the PML4; a large page ends the walk at level 1 (1 GiB) or 2 (2 MiB).
        int levels = largeAt is 1 or 2 ? largeAt + 1 : 4;
        ulong[] entries = new ulong[levels];
        for (int level = 0; level < levels; level++)
        {
            bool leaf = level == levels - 1;
            ulong entry = leaf ? 0xc000_0000UL : 0x10_0000UL + ((ulong)(level + 1) * 0x1000);
            entry |= random.Next(12) == 0 ? 0UL : 1;
            entry |= random.Next(4) == 0 ? 0UL : 2;
            entry |= random.Next(4) == 0 ? 0UL : 4;
            entry |= (ulong)random.Next(4) << 5;
            entry &= leaf && levels == 4 ? ulong.MaxValue : ~0x40UL;
            entry |= random.Next(5) == 0 ? 1UL << 63 : 0;
            entry |= random.Next(20) == 0 ? 1UL << (40 + random.Next(12)) : 0;
            if (leaf && levels < 4)
            {
                entry |= 0x80;
                entry |= random.Next(20) == 0 ? 1UL << 13 : 0;
            }
            else if (largeAt == 3 && level == 0 && random.Next(4) == 0)
            {
                // Reserved at this level.
                entry |= 0x80;
            }

            entries[level] = entry;
            machine.Write(Cell(level), entry);
        }

        machine.Cpu->State.Cr3 = 0x10_0000;
        return entries;
    }

    private static uint? Expected(CpuContext* cpu, ulong[] entries, int largeAt, AccessKind access, bool user, Privilege privilege)
    {
        bool noExecute = (cpu->State.Efer & Efer.Nxe) != 0;
        uint code = (access == AccessKind.Write ? 2u : 0) | (user ? 4u : 0)
            | (access == AccessKind.Fetch && (noExecute || (cpu->State.Cr4 & Cr4.Smep) != 0) ? 16u : 0);
        bool writable = true;
        bool userPage = true;
        bool executable = true;
        for (int level = 0; level < entries.Length; level++)
        {
            ulong entry = entries[level];
            if ((entry & 1) == 0)
            {
                return code;
            }

            bool large = (entry & 0x80) != 0;
            bool reserved = (entry & 0x000f_ff00_0000_0000) != 0 || ((entry >> 63) != 0 && !noExecute)
                || (large && level == 0) || (large && level is 1 or 2 && (entry & 0x2000) != 0 && largeAt is 1 or 2);
            if (reserved)
            {
                return code | 9;
            }

            writable &= (entry & 2) != 0;
            userPage &= (entry & 4) != 0;
            executable &= (entry >> 63) == 0;
        }

        bool supervisorMayTouch = !userPage || privilege == Privilege.SupervisorOpen;
        bool allowed = access switch
        {
            AccessKind.Read => user ? userPage : supervisorMayTouch,
            AccessKind.Write => user ? userPage && writable : supervisorMayTouch && (writable || (cpu->State.Cr0 & Cr0.Wp) == 0),
            _ => executable && (user ? userPage : !userPage || (cpu->State.Cr4 & Cr4.Smep) == 0),
        };
        return allowed ? null : code | 1;
    }
}
