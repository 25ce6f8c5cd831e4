using Tmds.Linux;
using WebVm.Vmm.Host;
using WebVm.Vmm.Host.Native;

namespace WebVm.Vmm.Confinement;

/// <summary>
/// The one place from which a filter lets execveat(2) through. A filter must be in force before the program that it confines, and so must
/// allow the very call that starts it; it tells that call from later ones by where it comes from: a page at a random address, which the
/// next program does not have. To make the call again, a program would have to map code at the address that it cannot know, and the first
/// wrong guess is its last.
/// </summary>
internal sealed unsafe class ExecGate
{
    // As glibc's syscall(): number and arguments move from the C calling convention to the kernel's.
    //   mov rax,rdi; mov rdi,rsi; mov rsi,rdx; mov rdx,rcx; mov r10,r8; mov r8,r9; syscall; ret
    private static ReadOnlySpan<byte> Code =>
        [0x48, 0x89, 0xf8, 0x48, 0x89, 0xf7, 0x48, 0x89, 0xd6, 0x48, 0x89, 0xca, 0x4d, 0x89, 0xc2, 0x4d, 0x89, 0xc8, 0x0f, 0x05, 0xc3];

    private const int PageSize = 4096;
    private const int Tries = 64;

    private ExecGate(byte* page) => Call = page;

    /// <summary>Takes the number of a call and up to five arguments, in the C calling convention.</summary>
    public byte* Call { get; }

    /// <summary>What a filter sees as the instruction pointer of a call from here.</summary>
    public ulong ReturnsTo => (ulong)Call + (ulong)Code.Length - 1;

    public static ExecGate Create()
    {
        for (int attempt = 0; attempt < Tries; attempt++)
        {
            ulong random;
            if (RawCalls.Call(SystemCall.SYS_getrandom, (nint)(&random), sizeof(ulong)) != sizeof(ulong))
            {
                throw new LinuxException("getrandom", RawCalls.Error);
            }

            // Anywhere in the user's half: 34 bits of chance.
            ulong address = (0x0000_1000_0000_0000 + (random % 0x0000_6000_0000_0000)) & ~(ulong)(PageSize - 1);
            void* page = LibC.mmap((void*)address, PageSize, LibC.PROT_READ | LibC.PROT_WRITE,
                LibC.MAP_PRIVATE | LibC.MAP_ANONYMOUS | LibC.MAP_FIXED_NOREPLACE, -1, 0);
            if (page == (void*)-1)
            {
                continue; // somebody lives there
            }

            Code.CopyTo(new Span<byte>(page, PageSize));
            if (LibC.mprotect(page, PageSize, LibC.PROT_READ | LibC.PROT_EXEC) != 0)
            {
                throw LinuxException.Last("mprotect");
            }

            return new ExecGate((byte*)page);
        }

        throw new InvalidOperationException("No free page was found in the address space.");
    }
}
