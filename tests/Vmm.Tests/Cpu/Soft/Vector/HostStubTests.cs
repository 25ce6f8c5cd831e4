using WebVm.Vmm.Cpu.Soft.Semantics;
using WebVm.Vmm.Host;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace WebVm.Vmm.Tests.Cpu.Soft.Vector;

public sealed unsafe class HostStubTests
{
    [Fact]
    public void An_assembled_routine_is_callable()
    {
        var add = (delegate* unmanaged[SuppressGCTransition]<long, long, long>)HostStub.Assemble(a =>
        {
            a.lea(rax, __[rdi + rsi]);
            a.ret();
        });

        Assert.Equal(42, add(40, 2));
    }

    [Fact]
    public void Code_is_never_writable_and_executable_at_once()
    {
        using var memory = new ExecutableMemory("webvm-wx-test", 1 << 16);
        nint code = memory.Append([0xc3]);

        string[] mappings = [.. File.ReadLines("/proc/self/maps").Where(line => line.Contains("webvm-wx-test", StringComparison.Ordinal))];

        Assert.Equal(2, mappings.Length);
        Assert.DoesNotContain(mappings, line => line.Contains("rwx", StringComparison.Ordinal));
        Assert.Contains(
            mappings, line => line.Contains(" r-xs ", StringComparison.Ordinal)
                && line.StartsWith(code.ToString("x"), StringComparison.Ordinal));
    }

    [Fact]
    public void A_full_arena_refuses_instead_of_overflowing()
    {
        using var memory = new ExecutableMemory("webvm-full-test", 4096);

        Assert.NotEqual(0, memory.Append(new byte[4000]));
        Assert.Equal(0, memory.Append(new byte[200]));
        Assert.NotEqual(0, memory.Append(new byte[64]));
    }
}
