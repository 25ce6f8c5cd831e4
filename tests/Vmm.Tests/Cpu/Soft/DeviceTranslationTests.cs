using Iced.Intel;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Memory;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace WebVm.Vmm.Tests.Cpu.Soft;

/// <summary>What the translation cache keeps of pages that are not plain memory.</summary>
public sealed unsafe class DeviceTranslationTests
{
    private const ulong Window = 0x4000_0000;
    private const ulong Directory = 0x5_1000;
    private const ulong Table = 0x5_0000;
    private const ulong Device = 0x8000_0000;

    [Fact]
    public void A_translation_to_a_device_is_kept_until_it_is_invalidated()
    {
        using var machine = WithWindow();
        machine.Place(a =>
        {
            a.mov(__dword_ptr[rsi + 8], 1);
            a.mov(__qword_ptr[rdi], rbx);
            a.mov(__dword_ptr[rsi + 8], 2);
            a.invlpg(__byte_ptr[rsi]);
            a.mov(__dword_ptr[rsi + 8], 3);
            a.hlt();
        });
        machine.Gpr(3) = (Device + 0x5000) | 0x67;
        machine.RunToHalt();
        Assert.Equal([(Device + 8, 4, 1UL), (Device + 8, 4, 2UL), (Device + 0x5008, 4, 3UL)], machine.MmioWrites);
    }

    [Fact]
    public void Rights_are_those_of_the_page()
    {
        using var machine = WithWindow();
        machine.Write(Table, Device | 0x65);
        machine.Place(a =>
        {
            a.mov(eax, __dword_ptr[rsi]);
            a.mov(__dword_ptr[rsi], 1);
            a.hlt();
        });
        Assert.Equal(1, machine.Vcpu.Step(2, out var outcome));
        Assert.Equal(Outcome.Exception, outcome);
        Assert.Equal(0x5566_7788UL, machine.Gpr(0));
        Assert.Equal(ExceptionVector.PageFault, machine.Cpu->Exception);
        Assert.Equal(3u, machine.Cpu->ExceptionErrorCode);
        Assert.Empty(machine.MmioWrites);
    }

    [Fact]
    public void A_large_page_of_devices_is_dropped_as_a_whole()
    {
        using var machine = WithWindow();
        machine.Write(Directory, Device | 0xe7);
        machine.Place(a =>
        {
            a.mov(__dword_ptr[rsi + 0x3000], 1);
            a.mov(__qword_ptr[rdi], rbx);
            a.invlpg(__byte_ptr[rsi + 0x1000]);
            a.mov(__dword_ptr[rsi + 0x3000], 2);
            a.hlt();
        });
        machine.Gpr(7) = Directory;
        machine.Gpr(3) = (Device + 0x20_0000) | 0xe7;
        machine.RunToHalt();
        Assert.Equal([(Device + 0x3000, 4, 1UL), (Device + 0x20_3000, 4, 2UL)], machine.MmioWrites);
    }

    [Fact]
    public void A_write_over_the_end_of_a_page_goes_to_both()
    {
        using var machine = WithWindow();
        machine.Write(Table + 8, 0x60_0000UL | 0x67);
        machine.Place(a =>
        {
            a.mov(rax, 0x1122_3344_5566_7788);
            a.mov(__qword_ptr[rsi + 0xffc], rax);
            a.hlt();
        });
        machine.RunToHalt();
        Assert.Equal((Device + 0xffc, 4, 0x5566_7788UL), Assert.Single(machine.MmioWrites));
        Assert.Equal(0x1122_3344u, machine.Read<uint>(0x60_0000));
    }

    [Fact]
    public void Memory_that_appears_where_a_device_was_is_found_at_once()
    {
        using var machine = WithWindow();
        var region = machine.Memory.CreateRegion("late", GuestMemoryKind.Device, 4096);
        machine.Place(a =>
        {
            a.mov(__dword_ptr[rsi], 1);
            a.hlt();
            a.mov(__dword_ptr[rsi], 2);
            a.hlt();
            a.mov(__dword_ptr[rsi], 3);
            a.hlt();
        });
        machine.RunToHalt();
        Assert.True(machine.Memory.TryMap(region, new(Device)));
        Continue(machine);
        Assert.Equal(2u, machine.Read<uint>(Device));
        machine.Memory.Unmap(region);
        Continue(machine);
        Assert.Equal([(Device, 4, 1UL), (Device, 4, 3UL)], machine.MmioWrites);
    }

    [Fact]
    public void Stores_to_ROM_have_no_effect_and_stores_to_flash_go_to_the_bus()
    {
        using var machine = WithWindow();
        var rom = machine.Memory.CreateRegion("rom", GuestMemoryKind.Rom, 4096);
        var flash = machine.Memory.CreateRegion("flash", GuestMemoryKind.Flash, 4096);
        Assert.True(machine.Memory.TryMap(rom, new(Device)));
        Assert.True(machine.Memory.TryMap(flash, new(Device + 0x1000)));
        machine.Write(Table + 8, (Device + 0x1000) | 0x67);
        machine.Write(Device, 5u);
        machine.Write(Device + 0x1010, 7u);
        machine.Place(a =>
        {
            for (int i = 0; i < 2; i++)
            {
                a.mov(__dword_ptr[rsi], 1);
                a.inc(__dword_ptr[rsi]);
                a.mov(eax, __dword_ptr[rsi]);
                a.mov(__byte_ptr[rsi + 0x1010], 0x40);
                a.@lock.add(__dword_ptr[rsi + 0x1010], 3);
                a.mov(ecx, __dword_ptr[rsi + 0x1010]);
            }

            a.lea(rdi, __[rsi + 0x1ffe]);
            a.mov(ecx, 2);
            a.mov(al, 9);
            a.rep.stosb();
            a.mov(eax, __dword_ptr[rsi]);
            a.mov(ecx, __dword_ptr[rsi + 0x1010]);
            a.hlt();
        });
        machine.RunToHalt();
        Assert.Equal(5UL, machine.Gpr(0));
        Assert.Equal(7UL, machine.Gpr(1));
        (ulong, int, ulong)[] once = [(Device + 0x1010, 1, 0x40), (Device + 0x1010, 4, 10)];
        Assert.Equal([.. once, .. once, (Device + 0x1ffe, 1, 9), (Device + 0x1fff, 1, 9)], machine.MmioWrites);
        Assert.Equal(5u, machine.Read<uint>(Device));
        Assert.Equal(7u, machine.Read<uint>(Device + 0x1010));
    }

    [Fact]
    public void Flash_executes_what_it_holds()
    {
        using var machine = WithWindow();
        var flash = machine.Memory.CreateRegion("flash", GuestMemoryKind.Flash, 4096);
        Assert.True(machine.Memory.TryMap(flash, new(Device)));
        // mov byte [rsi], 0x99; mov al, 0x55; hlt: the store is a command to the chip and changes no code.
        machine.Place([0xc6, 0x06, 0x99, 0xb0, 0x55, 0xf4], Device);
        machine.Cpu->State.Rip = Window;
        machine.RunToHalt();
        Assert.Equal(0x55UL, machine.Gpr(0) & 0xff);
        Assert.Equal((Device, 1, 0x99UL), Assert.Single(machine.MmioWrites));
    }

    /// <summary>RSI is a window of 4 KiB pages, whose first shows a device; RDI is its table.</summary>
    private static LongModeProcessor WithWindow()
    {
        var machine = new LongModeProcessor();
        machine.Write(LongModeProcessor.PageTables + 0x1000 + (Window >> 30 << 3), Directory | 7);
        machine.Write(Directory, Table | 7);
        machine.Write(Table, Device | 0x67);
        machine.Gpr(6) = Window;
        machine.Gpr(7) = Table;
        return machine;
    }

    private static void Continue(LongModeProcessor machine)
    {
        machine.Cpu->State.Activity = WebVm.Vmm.Cpu.State.VcpuActivity.Active;
        machine.RunToHalt();
    }
}
