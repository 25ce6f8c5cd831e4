using System.Diagnostics;
using System.Globalization;
using System.Text;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Firmware;
using WebVm.Vmm.Firmware.Boot;
using WebVm.Vmm.Firmware.Description;
using WebVm.Vmm.Memory;
using WebVm.Vmm.Tests.Devices.Doubles;
using Xunit;

namespace WebVm.Vmm.Tests.Firmware.Boot;

/// <summary>
/// Runs what <see cref="DirectBoot"/> prepared on another machine than ours: guest memory goes into QEMU's q35 as it is, and a ROM of the
/// test's own puts QEMU's processor into the state of the BootPlan. So loaders and tables are judged apart from our engines and devices.
/// </summary>
internal sealed unsafe class QemuBoot : IDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("webvm-qemu-");

    public QemuBoot(BootSource source, int megabytes, PlatformDescription? platform = null, int cpus = 1)
    {
        Megabytes = megabytes;
        Cpus = cpus;
        using var memory = new GuestMemory();
        ulong size = (ulong)megabytes << 20;
        Assert.True(memory.TryMap(memory.CreateRegion("ram", GuestMemoryKind.Ram, size), new(0)));
        Plan = DirectBoot.Prepare(memory, platform ?? Describe(cpus, size), source);
        Dump(memory, "low", 0, MemoryMap.VideoMemory);
        Dump(memory, "rom", MemoryMap.SystemRom, 0x8000);
        Dump(memory, "high", MemoryMap.ExtendedMemory, size - MemoryMap.ExtendedMemory);
        CpuState state = default;
        Plan.Apply(&state);
        AssembleTrampoline(&state);
    }

    public BootPlan Plan { get; }

    private int Megabytes { get; }

    private int Cpus { get; }

    public static PlatformDescription Describe(int cpus, ulong ram) => new()
    {
        Cpus = [.. Enumerable.Range(0, cpus).Select(i => new PlatformCpu((uint)i, (uint)i))],
        Memory = [new(new(0), ram)],
        Devices = PcDevices.Create(),
    };

    /// <summary>Runs until the serial line shows the text, the machine ends, or the time is over; returns what was on the line.</summary>
    public string RunUntil(string text, int seconds)
    {
        string serial = Path.Combine(_directory.FullName, "serial");
        var start = new ProcessStartInfo("qemu-system-x86_64")
        {
            WorkingDirectory = _directory.FullName,
            RedirectStandardError = true,
        };
        string[] arguments =
        [
            "-M", "q35", "-accel", "tcg", "-cpu", "max", "-m", $"{Megabytes}M", "-smp", $"{Cpus},sockets={Cpus}", "-nodefaults", "-display",
            "none", "-no-reboot",
            "-bios", "trampoline.bin", "-serial", $"file:{serial}",
            "-device", "loader,file=low,addr=0,force-raw=on",
            "-device", $"loader,file=rom,addr={MemoryMap.SystemRom},force-raw=on",
            "-device", $"loader,file=high,addr={MemoryMap.ExtendedMemory},force-raw=on",
        ];
        foreach (string argument in arguments)
        {
            start.ArgumentList.Add(argument);
        }

        using var qemu = Process.Start(start)!;
        try
        {
            var deadline = Stopwatch.StartNew();
            string seen = "";
            while (!seen.Contains(text, StringComparison.Ordinal) && !qemu.HasExited && deadline.Elapsed.TotalSeconds < seconds)
            {
                Thread.Sleep(50);
                seen = File.Exists(serial) ? ReadShared(serial) : "";
            }

            return qemu.HasExited && seen.Length == 0 ? qemu.StandardError.ReadToEnd() : seen;
        }
        finally
        {
            qemu.Kill();
            qemu.WaitForExit();
        }
    }

    public void Dispose() => _directory.Delete(recursive: true);

    /// <summary>Assembles a source that lies beside the tests and returns the bytes.</summary>
    public static byte[] Assemble(string source, params string[] options)
    {
        var directory = Directory.CreateTempSubdirectory("webvm-nasm-");
        try
        {
            string output = Path.Combine(directory.FullName, "out");
            var start = new ProcessStartInfo("nasm") { RedirectStandardError = true };
            foreach (string argument in (string[])["-f", "bin", "-o", output, .. options, Source(source)])
            {
                start.ArgumentList.Add(argument);
            }

            using var nasm = Process.Start(start)!;
            string errors = nasm.StandardError.ReadToEnd();
            nasm.WaitForExit();
            Assert.True(nasm.ExitCode == 0, errors);
            return File.ReadAllBytes(output);
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }

    private static string Source(string name) => Path.Combine(AppContext.BaseDirectory, "Firmware", "Boot", name);

    private static string ReadShared(string path)
    {
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        using var reader = new StreamReader(stream, Encoding.Latin1);
        return reader.ReadToEnd();
    }

    private void Dump(GuestMemory memory, string name, ulong address, ulong length)
    {
        byte[] bytes = new byte[length];
        Assert.True(memory.TryRead(new GuestPhysicalAddress(address), bytes.AsSpan()));
        File.WriteAllBytes(Path.Combine(_directory.FullName, name), bytes);
    }

    private void AssembleTrampoline(CpuState* state)
    {
        (string Name, ulong Value)[] values =
        [
            ("ENTRY", state->Rip), ("GDT", state->Gdtr.Base), ("CR0", state->Cr0), ("CR3", state->Cr3), ("CR4", state->Cr4),
            ("EFER", state->Efer),
            ("RAX", state->Gpr[0]), ("RBX", state->Gpr[3]), ("RSI", state->Gpr[6]),
            ("CODE", state->Segments[SegmentIndex.Cs].Selector), ("DATA", state->Segments[SegmentIndex.Ds].Selector),
        ];
        byte[] rom = Assemble("trampoline.asm", [.. values.Select(v => $"-D{v.Name}={v.Value.ToString(CultureInfo.InvariantCulture)}")]);
        Assert.Equal(0x1_0000, rom.Length);
        File.WriteAllBytes(Path.Combine(_directory.FullName, "trampoline.bin"), rom);
    }
}
