/* From reset to main on a Cortex-M: vectors, the float unit, data and bss. */
#include <stdint.h>

extern uint32_t _stack_top, _data_start, _data_end, _data_load, _bss_start, _bss_end;

int main(void);
void finish(int code);
void reset(void);
void fault(void);

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    &_stack_top, (const void *)reset, (const void *)fault, (const void *)fault,
    (const void *)fault, (const void *)fault, (const void *)fault,
};

void fault(void)
{
    finish(99);
}

void reset(void)
{
    uint32_t *to;
    const uint32_t *from = &_data_load;
    for (to = &_data_start; to < &_data_end; to++) {
        *to = *from++;
    }
    for (to = &_bss_start; to < &_bss_end; to++) {
        *to = 0;
    }
#if defined(__ARM_ARCH_6M__)
    *(volatile uint32_t *)0xE000ED14 |= 1u << 3; /* CCR: a larger core faults on unaligned access, too */
#endif
#if defined(__ARM_FP)
    *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20; /* CPACR: full access to the float unit */
    __asm__ volatile("dsb\n\tisb");
#endif
    finish(main());
}
