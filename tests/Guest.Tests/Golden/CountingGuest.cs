namespace WebVm.Guest.Tests.Golden;

/// <summary>
/// The guest of golden states. A hundred times a second it counts, looks whether memory, an SSE register and the display's memory are what
/// it left there, and says "count ok" or "count bad" on COM1. What is typed there comes back in angle brackets; 'q' ends it by the debug
/// port.
/// </summary>
internal static class CountingGuest
{
    /// <summary>What the monitor's process ends with when 'q' was typed.</summary>
    public const int ExitCode = (0x21 << 1) | 1;

    public const string Body = $$"""
            ; 1024 pseudo-random doublewords at 3 MiB
            mov edi, 0x300000
            mov ecx, 1024
            mov eax, 1
        .fill:
            imul eax, eax, 1664525
            add eax, 1013904223
            stosd
            loop .fill
            mov eax, cr0
            and eax, ~4
            or eax, 2
            mov cr0, eax
            mov eax, cr4
            or eax, 0x200
            mov cr4, eax
            movdqu xmm5, [0x300000]
            ; the display (1234:1111), on the first buses: its memory is where BAR 0 says
            mov ebx, 0x80000000
        .slot:
            mov eax, ebx
            mov dx, 0xcf8
            out dx, eax
            mov dx, 0xcfc
            in eax, dx
            cmp eax, 0x11111234
            je .display
            add ebx, 0x800
            cmp ebx, 0x80080000
            jb .slot
            jmp hang
        .display:
            lea eax, [ebx + 0x10]
            mov dx, 0xcf8
            out dx, eax
            mov dx, 0xcfc
            in eax, dx
            and eax, ~15
            mov [.pixels], eax
            mov dword [eax + 0x1000], 0x00c0ffee
        {{MultibootSample.TimerInterrupt}}
            mov al, 0x9c
            out 0x40, al
            mov al, 0x2e
            out 0x40, al
            sti
        .idle:
            hlt
            jmp .idle
        .tick:
            pushad
            inc dword [.count]
            mov edx, [.count]
            mov ecx, 8
            mov edi, .line
        .digit:
            rol edx, 4
            mov eax, edx
            and eax, 15
            mov al, [.digits + eax]
            stosb
            loop .digit
            mov esi, 0x300000
            mov ecx, 1024
            mov eax, 1
        .check:
            imul eax, eax, 1664525
            add eax, 1013904223
            cmp eax, [esi]
            jne .bad
            add esi, 4
            loop .check
            movdqu xmm6, [0x300000]
            pcmpeqb xmm6, xmm5
            pmovmskb eax, xmm6
            cmp eax, 0xffff
            jne .bad
            mov eax, [.pixels]
            cmp dword [eax + 0x1000], 0x00c0ffee
            jne .bad
            mov esi, .line
            call print
            mov esi, .ok
            jmp .say
        .bad:
            mov esi, .line
            call print
            mov esi, .not
        .say:
            call print
            mov dx, 0x3fd
            in al, dx
            test al, 1
            jz .done
            mov dx, 0x3f8
            in al, dx
            cmp al, 'q'
            je .quit
            mov [.typed + 1], al
            mov esi, .typed
            call print
        .done:
            mov al, 0x20
            out 0x20, al
            popad
            iret
        .quit:
            mov eax, 0x21
            mov dx, 0xf4
            out dx, eax
            jmp hang
        .count: dd 0
        .pixels: dd 0
        .line: db "00000000", 0
        .ok: db " ok", 10, 0
        .not: db " bad", 10, 0
        .typed: db "< >", 10, 0
        .digits: db "0123456789abcdef"
        .table: dw 0x20 * 8 + 7
            dd .gate - 0x20 * 8
        .gate: dw 0, 0x10, 0x8e00, 0
        """;
}
