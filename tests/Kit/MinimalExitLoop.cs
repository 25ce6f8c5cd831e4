using System.Diagnostics;
using System.Globalization;

namespace WebVm.Kit;

/// <summary>
/// The smallest C program that runs a guest which does nothing but OUT: what our exits are measured against. Benchmarks use it too.
/// </summary>
internal static class MinimalExitLoop
{
    private const string MinimalLoop = """
        #include <fcntl.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        #include <time.h>
        #include <linux/kvm.h>
        #include <sys/ioctl.h>
        #include <sys/mman.h>

        int main(int argc, char **argv)
        {
            long exits = atol(argv[1]);
            int kvm = open("/dev/kvm", O_RDWR);
            int vm = ioctl(kvm, KVM_CREATE_VM, 0);
            char *memory = mmap(0, 0x10000, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
            struct kvm_userspace_memory_region region = { 0, 0, 0, 0x10000, (unsigned long)memory };
            struct kvm_sregs special;
            struct kvm_regs general = { .rip = 0x1000, .rflags = 2, .rdx = 0x500 };
            struct timespec start, end;
            ioctl(vm, KVM_CREATE_IRQCHIP, 0);
            ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region);
            memcpy(memory + 0x1000, "\xee\xeb\xfd", 3);
            int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
            struct kvm_run *run = mmap(0, ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
            ioctl(vcpu, KVM_GET_SREGS, &special);
            special.cs.base = special.cs.selector = 0;
            ioctl(vcpu, KVM_SET_SREGS, &special);
            ioctl(vcpu, KVM_SET_REGS, &general);
            ioctl(vcpu, KVM_RUN, 0);
            clock_gettime(CLOCK_MONOTONIC, &start);
            for (long i = 0; i < exits; i++) {
                if (ioctl(vcpu, KVM_RUN, 0) || run->exit_reason != KVM_EXIT_IO)
                    return 1;
            }
            clock_gettime(CLOCK_MONOTONIC, &end);
            printf("%.0f\n", exits / ((end.tv_sec - start.tv_sec) + (end.tv_nsec - start.tv_nsec) / 1e9));
            return 0;
        }
        """;

    /// <summary>Exits per second of the C program, compiled now.</summary>
    public static double PerSecond(int exits)
    {
        var directory = Directory.CreateTempSubdirectory("webvm-exits-");
        try
        {
            string program = Path.Combine(directory.FullName, "minimal");
            File.WriteAllText(program + ".c", MinimalLoop);
            Start("gcc", "-O2", "-w", "-o", program, program + ".c");
            return double.Parse(Start(program, exits.ToString(CultureInfo.InvariantCulture)), CultureInfo.InvariantCulture);
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }

    private static string Start(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true })!;
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0 ? output : throw new InvalidOperationException($"{program} failed with {process.ExitCode}.");
    }
}
