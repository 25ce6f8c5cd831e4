using Tmds.Linux;
using WebVm.Vmm.Host.Native;

namespace WebVm.Vmm.Host;

/// <summary>
/// Where one thread sleeps until another wakes it or a time has come. One system call on either side, and little memory touched: who wakes
/// up seldom finds the processor's caches full of other things. It may be woken for as long as anybody knows it.
/// </summary>
internal sealed unsafe class ThreadParker
{
    private const int CacheLine = 64;
    private const int Empty = 0;
    private const int Token = 1;

    private readonly int[] _memory = GC.AllocateArray<int>(2 * CacheLine / sizeof(int), pinned: true);
    private readonly int* _word;

    public ThreadParker()
    {
        fixed (int* first = _memory)
        {
            _word = (int*)(((nuint)first + CacheLine - 1) & ~(nuint)(CacheLine - 1));
        }
    }

    /// <summary>Sleeps until <see cref="Wake"/> is called, or was since the last call.</summary>
    /// <param name="deadline">Nanoseconds of CLOCK_MONOTONIC; <see cref="long.MaxValue"/> for none.</param>
    /// <returns>Whether it was woken. May also return false before the deadline: look at the clock.</returns>
    public bool Park(long deadline)
    {
        if (Interlocked.Exchange(ref *_word, Empty) == Token)
        {
            return true;
        }

        if (deadline == long.MaxValue)
        {
            FutexCalls.Wait(_word, Empty, null);
        }
        else
        {
            var time = itimerspec.Once(Math.Max(deadline, 0)).it_value;
            FutexCalls.Wait(_word, Empty, &time);
        }

        bool woken = Interlocked.Exchange(ref *_word, Empty) == Token;
        GC.KeepAlive(this);
        return woken;
    }

    /// <summary>Wakes the thread, or keeps it from its next sleep.</summary>
    public void Wake()
    {
        if (Interlocked.Exchange(ref *_word, Token) == Empty)
        {
            FutexCalls.Wake(_word);
        }

        GC.KeepAlive(this);
    }
}
