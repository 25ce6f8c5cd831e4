using System.Buffers.Binary;
using WebVm.Vmm.Firmware.Boot;
using Xunit;

namespace WebVm.Vmm.Tests.Firmware.Boot;

public sealed class HostileKernelTests
{
    /// <summary>Values that loaders get wrong: limits of the integer types, of RAM and of the address space.</summary>
    private static readonly ulong[] s_interesting =
    [
        0, 1, 2, 3, 0x7f, 0x80, 0xff, 0x100, 0xfff, 0x1000, 0x7fff, 0x8000, 0xffff, 0x1_0000, 0x9_fc00, 0xa_0000, 0xf_0000, 0x10_0000,
        0x20_0000,
        0x3ff_f000, 0x400_0000, 0x7fff_ffff, 0x8000_0000, 0xc000_0000, 0xffff_f000, 0xffff_ffff, 0x1_0000_0000, 0x7fff_ffff_ffff_ffff,
        0x8000_0000_0000_0000, 0xffff_ffff_ffff_f000, ulong.MaxValue,
    ];

    public static TheoryData<string> Formats => ["bzImage", "vmlinux", "pvh", "multiboot-elf", "multiboot-kludge"];

    [Theory]
    [MemberData(nameof(Formats))]
    public void A_mutated_kernel_boots_or_is_refused_and_never_reaches_reserved_memory(string format) =>
        Fuzz(format, Environment.TickCount, rounds: 1500);

    [Theory(Explicit = true)]
    [MemberData(nameof(Formats))]
    public void A_mutated_kernel_boots_or_is_refused_for_a_long_time(string format) => Fuzz(format, Environment.TickCount, rounds: 200_000);

    [Theory]
    [MemberData(nameof(Formats))]
    public void Every_prefix_of_a_kernel_is_refused_or_boots(string format)
    {
        using var bench = new BootBench(16 << 20);
        byte[] good = Good(format);
        for (int length = 0; length < good.Length; length += length < 0x400 ? 1 : 61)
        {
            _ = Try(bench, good[..length], $"{format}, {length} bytes");
        }

        Assert.True(bench.ReservedMemoryIsUntouched);
    }

    private static void Fuzz(string format, int seed, int rounds)
    {
        using var bench = new BootBench(16 << 20);
        var random = new Random(seed);
        byte[] good = Good(format);
        Assert.True(Try(bench, good, format), "the unchanged file must boot");
        int booted = 0;
        for (int round = 0; round < rounds; round++)
        {
            byte[] file = (byte[])good.Clone();
            Mutate(file, random);
            if (random.Next(8) == 0)
            {
                file = file[..random.Next(file.Length)];
            }

            string what = $"{format}, seed {seed}, round {round}";
            long before = GC.GetAllocatedBytesForCurrentThread();
            booted += Try(bench, file, what) ? 1 : 0;
            Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 4 << 20, $"{what}: allocates without bound");
        }

        Assert.True(bench.ReservedMemoryIsUntouched, $"{format}, seed {seed}");
        Assert.InRange(booted, 1, rounds - 1);
    }

    /// <summary>True if it boots, false if it is refused in the proper way.</summary>
    private static bool Try(BootBench bench, byte[] file, string what)
    {
        try
        {
            var plan = bench.Load(new BootSource
            {
                Kernel = SyntheticKernel.File(file),
                CommandLine = "console=ttyS0",
                Modules = [new BootModule(new BootFile("initrd", new byte[100]))],
            });
            var entry = plan.Entry;
            Assert.True(entry >= plan.ImageStart && entry < plan.ImageEnd, $"{what}: entry {entry} lies outside the image");
            _ = bench.Enter(plan);
            return true;
        }
        catch (BootException)
        {
            return false;
        }
        catch (Exception e)
        {
            throw new Xunit.Sdk.XunitException($"{what}: {e}");
        }
    }

    private static void Mutate(byte[] file, Random random)
    {
        Span<byte> bytes = stackalloc byte[8];
        for (int i = random.Next(1, 5); i > 0; i--)
        {
            // Headers matter more than contents.
            int range = random.Next(4) == 0 ? file.Length : Math.Min(file.Length, 0x280);
            int at = random.Next(range);
            switch (random.Next(4))
            {
                case 0:
                    file[at] = (byte)random.Next();
                    break;
                case 1:
                    file[at] ^= (byte)(1 << random.Next(8));
                    break;
                default:
                    ulong value = s_interesting[random.Next(s_interesting.Length)] + (ulong)random.Next(-2, 3);
                    int size = 1 << random.Next(1, 4);
                    at &= ~(size - 1);
                    BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
                    bytes[..Math.Min(size, file.Length - at)].CopyTo(file.AsSpan(at));
                    break;
            }
        }
    }

    private static byte[] Good(string format) => format switch
    {
        "bzImage" => WithInitSize(SyntheticKernel.BzImage(), 0x4_0000),
        "vmlinux" => SyntheticKernel.Elf64(0x20_0080,
            new SyntheticKernel.Segment(1, 0x20_0000, SyntheticKernel.Pattern(0x800), 0x3000),
            new SyntheticKernel.Segment(1, 0x20_3000, SyntheticKernel.Pattern(0x100), 0x100)),
        "pvh" => SyntheticKernel.Pvh(),
        "multiboot-elf" => SyntheticKernel.MultibootElf(),
        _ => SyntheticKernel.MultibootKludge(),
    };

    private static byte[] WithInitSize(byte[] kernel, uint size)
    {
        SyntheticKernel.UInt64(kernel, 0x258, 0x20_0000);
        SyntheticKernel.UInt32(kernel, 0x260, size);
        return kernel;
    }
}
